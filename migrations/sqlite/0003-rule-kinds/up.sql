-- What sort of rule it is, and what is made of a value before it is compared.
ALTER TABLE alert_rules ADD COLUMN kind TEXT NOT NULL DEFAULT 'threshold';
ALTER TABLE alert_rules ADD COLUMN transform TEXT NOT NULL DEFAULT 'none'; -- none, rate, forecast
ALTER TABLE alert_rules ADD COLUMN transform_window_ms INTEGER;
ALTER TABLE alert_rules ADD COLUMN transform_span_ms INTEGER; -- of a rate what it is said per, of a forecast how far ahead
UPDATE alert_rules SET kind = 'offline' WHERE metric = 'agent.offline';

-- Why an incident fired where its numbers alone do not tell; and whether it lies in a late burst that is not settled yet.
ALTER TABLE incidents ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
CREATE INDEX incidents_late ON incidents (late) WHERE late = 1;
