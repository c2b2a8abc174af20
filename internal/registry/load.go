package registry

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// maxFile is how long a provider's file may be in bytes, and maxFiles how many
// a folder may hold.
const (
	maxFile  = 1 << 20
	maxFiles = 1000
)

//go:embed providers/*.json
var files embed.FS

// compatibleText is the provider of AI credentials for servers of one's own,
// which are wherever a credential says.
//
//go:embed compatible.json
var compatibleText []byte

// ErrProvider is in every error about a provider's file.
var ErrProvider = errors.New("not a usable provider file")

// Builtin returns the providers that come with the server. Their files are
// decoded when one of them is first asked for, in about a millisecond.
func Builtin() (*Registry, error) {
	entries, err := fs.ReadDir(files, "providers")
	if err != nil {
		return nil, fmt.Errorf("list the providers: %w", err)
	}
	return &Registry{known: sync.OnceValue(func() *index {
		all, err := builtin(entries)
		if err != nil {
			panic(err) // the tests have decoded the very bytes
		}
		return newIndex(all)
	})}, nil
}

func builtin(entries []fs.DirEntry) ([]Provider, error) {
	all := make([]Provider, 0, len(entries))
	for _, e := range entries {
		text, err := fs.ReadFile(files, path.Join("providers", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the provider file %s: %w", e.Name(), err)
		}
		var p Provider
		if err := strictjson.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrProvider, e.Name(), err)
		}
		all = append(all, p)
	}
	var compatible Provider
	if err := strictjson.Unmarshal(compatibleText, &compatible); err != nil {
		return nil, fmt.Errorf("%w: compatible.json: %w", ErrProvider, err)
	}
	return append(all, compatible), nil
}

// Load returns the built-in providers and those in the files dir/*.json, each
// of which is named for its provider: acme.json has the id acme. A file that
// breaks a rule, takes a built-in provider's id or a secret's name that another
// provider has is an error, which wraps [ErrProvider] and names every file that
// is wrong.
func Load(dir string) (*Registry, error) {
	shipped, err := Builtin()
	if err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(shipped.known().providers))
	names, err := providerFiles(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of providers: %w", err)
	}
	defer root.Close()
	var wrong []error
	for _, name := range names {
		p, err := loadFile(root, name)
		if err == nil {
			err = distinct(p, all)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%w: %s: %w", ErrProvider, name, err))
			continue
		}
		all = append(all, p)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	known := newIndex(all)
	return &Registry{known: func() *index { return known }}, nil
}

// providerFiles lists the files of a folder that are meant for it.
func providerFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the folder of providers: %w", err)
	}
	var names []string
	for _, e := range entries {
		// Directories and hidden files beside them are left alone.
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%w: the folder holds more than %d", ErrProvider, maxFiles)
	}
	return names, nil
}

func loadFile(root *os.Root, name string) (Provider, error) {
	f, err := root.Open(name)
	if err != nil {
		return Provider{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return Provider{}, err
	case len(text) > maxFile:
		return Provider{}, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	p, err := decode(text)
	switch {
	case err != nil:
		return Provider{}, err
	case p.ID+".json" != name:
		return Provider{}, errors.New("its name is not the provider's id and .json")
	case p.AI != "":
		return Provider{}, errors.New("only built-in providers serve AI credentials: ai")
	}
	return p, nil
}

// decode returns the provider that text describes, when it keeps every rule.
func decode(text []byte) (Provider, error) {
	var p Provider
	if err := strictjson.Unmarshal(text, &p); err != nil {
		return Provider{}, err
	}
	return p, p.check()
}

// distinct reports what of p another provider has already.
func distinct(p Provider, others []Provider) error {
	for _, o := range others {
		if o.ID == p.ID {
			return errors.New("there is a built-in provider with this id")
		}
		for _, s := range p.Secrets {
			if slices.ContainsFunc(o.Secrets, func(other SecretName) bool { return other.Name == s.Name }) {
				return fmt.Errorf("the secret name %s belongs to the provider %s", s.Name, o.ID)
			}
		}
	}
	return nil
}
