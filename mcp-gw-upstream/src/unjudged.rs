//! What a server tells before what it lists was judged: that something has happened is passed on, and
//! nothing that it says of it.

use mcp_gw_core::{BackendEvent, ObjectWriter, RawJson};

use crate::bereaved::updated;

/// Of news of a task: which one it is and how it stands.
const OF_TASK: [&str; 6] = [
    "taskId",
    "status",
    "createdAt",
    "lastUpdatedAt",
    "ttlMs",
    "pollIntervalMs",
];
/// The longest of these; a text for people or models is longer, or it is a short one.
const LONGEST: usize = 256;

/// The event without what a client could take for words of the server.
pub(crate) fn bare(event: BackendEvent) -> BackendEvent {
    match event {
        BackendEvent::ResourceUpdated { uri, .. } => {
            let params = updated(&uri);
            BackendEvent::ResourceUpdated { uri, params }
        }
        BackendEvent::TaskChanged { task_id, params } => BackendEvent::TaskChanged {
            task_id,
            params: of_task(&params),
        },
        other => other,
    }
}

fn of_task(params: &RawJson) -> RawJson {
    let members = params.members().unwrap_or_default();
    let mut writer = ObjectWriter::default();
    for (name, value) in members.iter() {
        let text = value.get();
        let is_plain = !text.starts_with(['{', '[']) && text.len() <= LONGEST;
        if is_plain && OF_TASK.contains(&name) {
            writer = writer.raw_value(name, value);
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn that_something_happened_passes_and_what_is_said_of_it_does_not() {
        let uri = "test:a".into();
        let params = raw(r#"{"uri":"test:a","title":"EVIL","_meta":{"x":1}}"#);
        let event = bare(BackendEvent::ResourceUpdated { uri, params });
        let (uri, params) = ("test:a".into(), raw(r#"{"uri":"test:a"}"#));
        assert_eq!(event, BackendEvent::ResourceUpdated { uri, params });

        let long = "x".repeat(LONGEST);
        let says = format!(
            r#"{{"taskId":"7","status":"working","statusMessage":"EVIL","ttlMs":1.0,"createdAt":{{}},"lastUpdatedAt":"{long}","inputRequests":{{"k":{{}}}}}}"#
        );
        let (task_id, params) = ("7".into(), raw(&says));
        let event = bare(BackendEvent::TaskChanged { task_id, params });
        let params = raw(r#"{"taskId":"7","status":"working","ttlMs":1.0}"#);
        let task_id = "7".into();
        assert_eq!(event, BackendEvent::TaskChanged { task_id, params });
        let other = BackendEvent::OfferChanged;
        assert_eq!(bare(other.clone()), other);
    }
}
