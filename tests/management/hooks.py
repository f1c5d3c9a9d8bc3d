"""What schemathesis must not do: end the credentials that it asks with, and so find 401 everywhere after that."""

import os

import schemathesis

OWN = {"user_id": os.environ.get("OWN_USER"), "key_id": os.environ.get("OWN_KEY")}


def is_number(text, number):
    try:
        return int(str(text)) == int(number)
    except (TypeError, ValueError):
        return False


@schemathesis.hook
def before_call(context, case, kwargs):
    for name, own in OWN.items():
        if own and is_number((case.path_parameters or {}).get(name), own):
            case.path_parameters[name] = "999999"
