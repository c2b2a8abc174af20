package bctrl

import (
	"encoding/json"
	"time"
)

// Durations are whole milliseconds on the wire, in fields that end in Ms, and
// time.Duration in Go.

func millis(d time.Duration) int64 { return d.Milliseconds() }

func fromMillis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// MarshalJSON writes Latency as latencyMs.
func (t AICredentialTest) MarshalJSON() ([]byte, error) {
	type plain AICredentialTest
	return json.Marshal(struct {
		plain
		LatencyMs int64 `json:"latencyMs"`
	}{plain(t), millis(t.Latency)})
}

// UnmarshalJSON reads Latency from latencyMs.
func (t *AICredentialTest) UnmarshalJSON(data []byte) error {
	type plain AICredentialTest
	var w struct {
		plain
		LatencyMs int64 `json:"latencyMs"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*t = AICredentialTest(w.plain)
	t.Latency = fromMillis(w.LatencyMs)
	return nil
}

// MarshalJSON writes Duration as durationMs.
func (s StepResult) MarshalJSON() ([]byte, error) {
	type plain StepResult
	return json.Marshal(struct {
		plain
		DurationMs int64 `json:"durationMs"`
	}{plain(s), millis(s.Duration)})
}

// UnmarshalJSON reads Duration from durationMs.
func (s *StepResult) UnmarshalJSON(data []byte) error {
	type plain StepResult
	var w struct {
		plain
		DurationMs int64 `json:"durationMs"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*s = StepResult(w.plain)
	s.Duration = fromMillis(w.DurationMs)
	return nil
}
