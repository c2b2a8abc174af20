package wire

import "time"

// LiveViewCreate is the body of POST …/runtimes/{alias}/embed/live.
type LiveViewCreate struct {
	Interactive  bool     `json:"interactive,omitempty"`
	TTLMs        int64    `json:"ttlMs,omitempty"`
	EmbedOrigins []string `json:"embedOrigins,omitempty"`
}

// LiveView is a live view of a runtime. The URL is a credential, and only in the answer
// that makes it.
type LiveView struct {
	ID           string     `json:"id"`
	URL          Value      `json:"url,omitzero"`
	Interactive  bool       `json:"interactive"`
	EmbedOrigins []string   `json:"embedOrigins"`
	CreatedAt    time.Time  `json:"createdAt"`
	ExpiresAt    time.Time  `json:"expiresAt"`
	OpenedAt     *time.Time `json:"openedAt,omitempty"`
}

// LiveSession is the body and the answer of POST /embed/live/{token}/open: what a browser
// tab that has opened the view shows to open it again.
type LiveSession struct {
	Session Value `json:"session,omitzero"`
}

// RecordingView is the body of POST …/runtimes/{alias}/embed/recording.
type RecordingView struct {
	TTLMs        int64    `json:"ttlMs,omitempty"`
	EmbedOrigins []string `json:"embedOrigins,omitempty"`
}

// Recording is its answer, but for the marks and the file. The URL is a credential.
type Recording struct {
	Status     string    `json:"status"`
	URL        Value     `json:"url"`
	ExpiresAt  time.Time `json:"expiresAt"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMs int64     `json:"durationMs"`
	Bytes      int64     `json:"bytes"`
	Truncated  bool      `json:"truncated"`
}

// RecordingMark is something that happened while a runtime was recorded.
type RecordingMark struct {
	AtMs int64  `json:"atMs"`
	Kind string `json:"kind"`
	Text string `json:"text"`
}
