-- What a hub of schema 1 left behind. TestOpen_olderSchemas says what has to come out of it.
INSERT INTO hubs (name, host_names, partitions, retention_ns, consumer_groups, created)
VALUES ('old', '["localhost"]', 4, 86400000000000, '["$Default"]', 17066887051234567);
INSERT INTO policies (hub, name, position, rights, primary_key, secondary_key)
VALUES ('old', 'iothubowner', 0, 15, 'b25l', 'dHdv');
INSERT INTO devices (hub, device_id, module_id, etag, generation_id, status, connection_state, last_activity,
    auth_type, primary_key, secondary_key, iot_edge, device_scope, parent_scopes,
    twin_version, tags, desired, reported)
VALUES ('old', 'd', '', 'MQ==', '1', 'enabled', 'Disconnected', 17066887051234567,
    'sas', 'b25l', 'dHdv', 0, '', '[]',
    7, '{"a":1}', '{"b":2}', '{"c":3}');
INSERT INTO mqtt_sessions (hub, device_id, module_id, subscriptions, updated)
VALUES ('old', 'd', '', '[{"filter":"devices/d/messages/devicebound/#","qos":1}]', 17066887051234567);
