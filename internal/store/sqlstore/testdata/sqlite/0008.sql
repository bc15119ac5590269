-- What a hub of schema 8 left behind. TestOpen_olderSchemas says what has to come out of it.
INSERT INTO hubs (name, host_names, partitions, retention_ns, consumer_groups, created, version)
VALUES ('old', '["localhost","old.example.org"]', 4, 86400000000000, '["$Default"]', 17066887051234567, 5);
INSERT INTO hub_hosts (host, hub) VALUES ('localhost', 'old'), ('old.example.org', 'old');
INSERT INTO policies (hub, name, position, permissions, primary_key, secondary_key)
VALUES ('old', 'iothubowner', 0, 15, 'b25l', 'dHdv');
INSERT INTO devices (hub, device_id, module_id, managed_by, etag, generation_id, status, status_reason, status_updated,
    connection_state, connection_state_updated, last_activity,
    auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint, iot_edge, device_scope, parent_scopes,
    model_id)
VALUES ('old', 'd', '', '', 'MQ==', '1', 'enabled', 'why', 17066887051234568,
    'Disconnected', 17066887051234569, 17066887051234567,
    'sas', 'b25l', 'dHdv', 'A1', 'B2', 1, 'scope', '["parent"]',
    'dtmi:x;1');
INSERT INTO devices (hub, device_id, module_id, managed_by, etag, generation_id, status, connection_state, connection_fence,
    iot_edge, device_scope, parent_scopes)
VALUES ('old', 'd', 'm', 'edge', 'MQ==', '1', 'enabled', 'Connected', 41, 0, '', '[]');
INSERT INTO sessions (hub, device_id, module_id, fence, updated, state)
VALUES ('old', 'd', '', 40, 17066887051234567, CAST('[{"filter":"devices/d/messages/devicebound/#","qos":1}]' AS BLOB)),
    ('old', 'd', 'm', 41, 17066887051234567, NULL);
UPDATE hubs SET c2d = '{"defaultTtl":60000000000,"maxDeliveryCount":3}';
INSERT INTO c2d_queues (hub, device_id, module_id, next_sequence, pending, due, newest_fence, newest_receiver)
VALUES ('old', 'd', '', 9, 2, 17066887051234567, 40, 2);
INSERT INTO c2d_messages (id, hub, device_id, module_id, sequence, message_id, ack, enqueued, expires, delivery_count,
    handed_out, lock_token, lock_until, lock_fence, lock_receiver)
VALUES (1, 'old', 'd', '', 7, 'm', 'full', 17066887051234567, 17066887061234567, 2, 1, 't', 17066887051234567, 40, 2),
    (2, 'old', 'd', '', 8, 'n', 'none', 17066887051234567, 17066887991234567, 0, 1, 'u', 17066887071234567, 0, 0);
INSERT INTO c2d_contents (id, content) VALUES (1, x'01010568656c6c6f'), (2, x'01');
INSERT INTO notifications (id, hub, kind, notification_id, enqueued, expires, delivery_count, lock_token, lock_until)
VALUES (1, 'old', 'feedback', 'b', 17066887051234567, 99999999999999999, 1, '', 0);
INSERT INTO feedback_records (id, hub, device_id, module_id, generation_id, message_id, status, at, notification)
VALUES (1, 'old', 'd', '', '1', 'm0', 'Success', 17066887051234567, 1),
    (2, 'old', 'd', '', '1', 'm1', 'Expired', 17066887051234567, NULL);
INSERT INTO outbox (id, hub, events) VALUES (7, 'old', x'010164016d01650568656c6c6f');
INSERT INTO twins (hub, device_id, module_id, etag, desired_version, desired_size, tags_size, desired_changes, desired_metadata, desired, tags)
VALUES ('old', 'd', '', 8, 6, 9, 7, x'0106147b2262223a322c222476657273696f6e223a367d', x'4d', '{"b":2}', '{"a":1}');
INSERT INTO twin_reported (hub, device_id, module_id, version, size, metadata, document)
VALUES ('old', 'd', '', 5, 4, x'4e', '{"c":3}');
UPDATE epoch SET number = 6;
UPDATE hubs SET log_name = 'old.x1';
INSERT INTO deleted_logs (name, deleted) VALUES ('gone.x2', 17066887051234567);
UPDATE registry SET opened = 6;
UPDATE hubs SET switches = '{"disableDeviceSas":true,"minTls":772,"allow":["10.0.0.0/8"]}',
    authorities = '[{"name":"plant","certificate":"MAA=","verified":true,"created":"2024-01-01T00:00:00Z","updated":"2024-01-01T00:00:00Z","etag":"e1"}]',
    issuing = '{"enabled":true,"validity":86400000000000,"keys":["ec-p256"]}';
INSERT INTO certificate_requests (hub, device_id, request) SELECT hub, device_id, '{}' FROM devices WHERE module_id = '' LIMIT 1;
INSERT INTO ticket_keys (created, sealed) VALUES (17066887051234567, x'01');
