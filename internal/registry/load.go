package registry

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

//go:embed providers/*.json
var files embed.FS

// Builtin returns the providers that come with the server.
func Builtin() (*Registry, error) {
	entries, err := fs.ReadDir(files, "providers")
	if err != nil {
		return nil, fmt.Errorf("list the providers: %w", err)
	}
	var all []Provider
	for _, e := range entries {
		text, err := fs.ReadFile(files, path.Join("providers", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the provider file %s: %w", e.Name(), err)
		}
		var p Provider
		if err := strictjson.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("provider file %s: %w", e.Name(), err)
		}
		all = append(all, p)
	}
	return index(all), nil
}

// index returns the registry of providers whose ids and secret names are each
// there once.
func index(all []Provider) *Registry {
	r := &Registry{providers: map[string]Provider{}, owners: map[string]string{}}
	for _, p := range all {
		r.providers[p.ID] = p
		for _, s := range p.Secrets {
			r.owners[s.Name] = p.ID
		}
	}
	r.ids = slices.Sorted(maps.Keys(r.providers))
	return r
}
