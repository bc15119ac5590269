-- Listing the modules of all devices, and the children of an Edge device, without reading every row.
CREATE INDEX devices_modules ON devices (hub, device_id, module_id) WHERE module_id <> '';
CREATE INDEX devices_by_parent ON devices (hub, parent_scopes, device_id) WHERE parent_scopes <> '[]' AND module_id = '';
