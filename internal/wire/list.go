package wire

import "encoding/json"

// The plurals under which lists put their items.
const (
	AICredentials   = "aiCredentials"
	VaultKeys       = "keys"
	VaultEntries    = "entries" // with ?meta=true
	StorageObjects  = "objects"
	Workspaces      = "workspaces"
	Runtimes        = "runtimes"
	BrowserProfiles = "browserProfiles"
	APIKeys         = "keys"
)

// List is the envelope of a list: {"<plural>": […], "nextCursor": string or
// null}. Plural is set by whoever encodes and by whoever decodes.
type List[T any] struct {
	Plural     string
	Items      []T
	NextCursor string
}

// MarshalJSON implements [json.Marshaler].
func (l List[T]) MarshalJSON() ([]byte, error) {
	items := l.Items
	if items == nil {
		items = []T{}
	}
	var next *string
	if l.NextCursor != "" {
		next = &l.NextCursor
	}
	return json.Marshal(map[string]any{l.Plural: items, "nextCursor": next})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *List[T]) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	l.Items, l.NextCursor = []T{}, ""
	if raw, ok := fields[l.Plural]; ok {
		if err := json.Unmarshal(raw, &l.Items); err != nil {
			return err
		}
	}
	if raw, ok := fields["nextCursor"]; ok {
		if err := json.Unmarshal(raw, &l.NextCursor); err != nil { // null leaves it empty
			return err
		}
	}
	return nil
}
