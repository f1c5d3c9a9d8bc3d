-- Audit events, quotas, pins, revoked tokens.
CREATE TABLE gw_audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB UNIQUE,
    time BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    transport TEXT NOT NULL,
    client_addr TEXT,
    protocol_version TEXT,
    caller_id TEXT NOT NULL,
    caller_kind TEXT NOT NULL,
    method TEXT NOT NULL,
    name TEXT,
    server TEXT,
    effect TEXT,
    reason TEXT,
    reasons TEXT NOT NULL,
    policy_version TEXT,
    outcome TEXT NOT NULL,
    error TEXT,
    backend_asked BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    details TEXT
);
CREATE INDEX gw_audit_time ON gw_audit (time);
CREATE INDEX gw_audit_caller ON gw_audit (caller_id, seq);
CREATE INDEX gw_audit_name ON gw_audit (name, seq);

CREATE TABLE gw_quotas (
    quota BLOB NOT NULL PRIMARY KEY,
    used BIGINT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE gw_pin_sets (
    server TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE gw_pins (
    server TEXT NOT NULL REFERENCES gw_pin_sets (server) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    definition TEXT,
    PRIMARY KEY (server, kind, name)
);

CREATE TABLE gw_revoked (
    token_id TEXT NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL
);
