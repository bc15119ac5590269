-- What a hub of schema 2 left behind. TestOpen_olderSchemas says what has to come out of it.
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
UPDATE hubs SET c2d = '{"defaultTtl":60000000000,"maxDeliveryCount":3}';
INSERT INTO c2d_queues (hub, device_id, module_id, next_sequence, pending, due)
VALUES ('old', 'd', '', 9, 2, 17066887051234567);
INSERT INTO c2d_messages (id, hub, device_id, module_id, sequence, message_id, ack, enqueued, expires, delivery_count,
    handed_out, lock_token, lock_until, lock_holder)
VALUES (1, 'old', 'd', '', 7, 'm', 'full', 17066887051234567, 17066887061234567, 2, 1, 't', 17066887051234567, 'h'),
    (2, 'old', 'd', '', 8, 'n', 'none', 17066887051234567, 17066887991234567, 0, 1, 'u', 17066887071234567, '');
INSERT INTO c2d_contents (id, content) VALUES (1, x'01010568656c6c6f'), (2, x'01');
INSERT INTO feedback_batches (id, hub, batch_id, enqueued, expires, delivery_count, lock_token, lock_until)
VALUES (1, 'old', 'b', 17066887051234567, 99999999999999999, 1, '', 0);
INSERT INTO feedback_records (id, hub, device_id, module_id, generation_id, message_id, status, at, batch)
VALUES (1, 'old', 'd', '', '1', 'm0', 'Success', 17066887051234567, 1),
    (2, 'old', 'd', '', '1', 'm1', 'Expired', 17066887051234567, NULL);
