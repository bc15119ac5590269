-- What a hub of schema 1 left behind. TestOpen_olderSchemas says what has to come out of it.
INSERT INTO hubs (name, host_names, partitions, retention_ns, consumer_groups, created)
VALUES ('old', '["localhost","old.example.org"]', 4, 86400000000000, '["$Default"]', 17066887051234567);
INSERT INTO policies (hub, name, position, rights, primary_key, secondary_key)
VALUES ('old', 'iothubowner', 0, 15, 'b25l', 'dHdv');
INSERT INTO devices (hub, device_id, module_id, etag, generation_id, status, status_reason, status_updated,
    connection_state, connection_state_updated, last_activity,
    auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint, iot_edge, device_scope, parent_scopes,
    model_id, twin_etag, twin_version, desired_version, reported_version, tags, desired, reported)
VALUES ('old', 'd', '', 'MQ==', '1', 'enabled', 'why', 17066887051234568,
    'Disconnected', 17066887051234569, 17066887051234567,
    'sas', 'b25l', 'dHdv', 'A1', 'B2', 1, 'scope', '["parent"]',
    'dtmi:x;1', 8, 7, 6, 5, '{"a":1}', '{"b":2}', '{"c":3}');
INSERT INTO mqtt_sessions (hub, device_id, module_id, subscriptions, updated)
VALUES ('old', 'd', '', '[{"filter":"devices/d/messages/devicebound/#","qos":1}]', 17066887051234567);
