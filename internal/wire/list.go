package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// The plurals under which lists put their items.
const (
	AICredentials   = "aiCredentials"
	VaultKeys       = "keys"
	VaultEntries    = "entries" // with ?meta=true
	StorageObjects  = "objects"
	Workspaces      = "workspaces"
	Runtimes        = "runtimes"
	ConnectURLs     = "connectUrls"
	LiveViews       = "liveViews"
	Operations      = "operations"
	TranscriptSteps = "steps"
	BrowserProfiles = "browserProfiles"
	APIKeys         = "keys"
	Subaccounts     = "subaccounts"
	AuditEvents     = "events"
	Secrets         = "secrets"
	Credentials     = "credentials"
	Capabilities    = "capabilities"
	Bindings        = "bindings"
	Webhooks        = "webhooks"
	Nodes           = "nodes"

	WebhookDeliveries = "deliveries"
)

// List is the envelope of a list: {"<plural>": […], "nextCursor": string or
// null}. Plural is set by whoever encodes and by whoever decodes.
type List[T any] struct {
	Plural     string
	Items      []T
	NextCursor string
}

// MarshalJSON implements [json.Marshaler].
func (l List[T]) MarshalJSON() ([]byte, error) { return l.Encode() }

// Encode is what [json.Marshal] gives, which would read all of it once more.
func (l List[T]) Encode() ([]byte, error) {
	items := []byte("[]")
	if l.Items != nil {
		var err error
		if items, err = json.Marshal(l.Items); err != nil {
			return nil, err
		}
	}
	next := []byte("null")
	if l.NextCursor != "" {
		var err error
		if next, err = json.Marshal(l.NextCursor); err != nil {
			return nil, err
		}
	}
	b := make([]byte, 0, len(items)+len(next)+64)
	b = append(b, `{"`+l.Plural+`":`...)
	b = append(b, items...)
	b = append(b, `,"nextCursor":`...)
	b = append(b, next...)
	return append(b, '}'), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *List[T]) UnmarshalJSON(data []byte) error { return l.Decode(data) }

// Decode is what [json.Unmarshal] does, which would read all of it three times
// more than it takes. Members that are not the list's are passed over; the list itself
// has to be there, or what answers is no server of these lists.
func (l *List[T]) Decode(data []byte) error {
	l.Items, l.NextCursor = nil, ""
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNotAList
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return errNotAList
		}
		switch name {
		case l.Plural:
			err = d.Decode(&l.Items)
		case "nextCursor":
			err = d.Decode(&l.NextCursor) // null leaves it empty
		default:
			var passed json.RawMessage
			err = d.Decode(&passed)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // its end
		return errNotAList
	}
	if _, err := d.Token(); err != io.EOF || l.Items == nil {
		return errNotAList
	}
	return nil
}

var errNotAList = errors.New("not the JSON of a list")
