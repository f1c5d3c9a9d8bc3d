-- Users, keys, servers. Times are microseconds since 1970-01-01 UTC, flags 0 or 1, lists and objects JSON.
CREATE TABLE gw_users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    email TEXT,
    full_name TEXT,
    password_hash TEXT NOT NULL,
    is_active BIGINT NOT NULL,
    is_superuser BIGINT NOT NULL,
    user_roles TEXT NOT NULL,
    user_groups TEXT NOT NULL,
    token_epoch BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE gw_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL,
    user_id BIGINT NOT NULL REFERENCES gw_users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    scopes TEXT NOT NULL,
    is_active BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_used BIGINT,
    revoked_at BIGINT,
    revision BIGINT NOT NULL
);
CREATE INDEX gw_keys_user ON gw_keys (user_id, id);

CREATE TABLE gw_templates (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT,
    strategy TEXT NOT NULL,
    health_check_interval BIGINT NOT NULL,
    max_retries BIGINT NOT NULL,
    pool_size BIGINT NOT NULL,
    timeout BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE gw_instances (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    template_name TEXT NOT NULL REFERENCES gw_templates (name),
    endpoint TEXT,
    command TEXT,
    transport TEXT NOT NULL,
    backend TEXT NOT NULL,
    container_id TEXT,
    deployment_id TEXT,
    namespace TEXT,
    working_dir TEXT,
    env_vars TEXT,
    is_active BIGINT NOT NULL,
    instance_metadata TEXT,
    config TEXT,
    status TEXT NOT NULL,
    last_health_check BIGINT,
    consecutive_failures BIGINT NOT NULL,
    last_error TEXT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX gw_instances_template ON gw_instances (template_name, place);

CREATE TABLE gw_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL
);

-- How often things of each kind were changed: what other processes look at.
CREATE TABLE gw_changes (
    kind TEXT NOT NULL PRIMARY KEY,
    changes BIGINT NOT NULL
);
