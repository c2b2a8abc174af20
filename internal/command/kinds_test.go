package command

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/bctrl-go/bctrl"
)

// kind is a sort of record, written and read through the SDK. Its content is
// known by a number, from 1.
type kind struct {
	name string
	// versioned is set where the server counts the writes of a record.
	versioned bool
	// write stores content n, and returns the version that the server gave it.
	write func(ctx context.Context, c *bctrl.Client, key string, n int, isNew bool, opts []bctrl.CallOption) (int64, error)
	// remove deletes the record.
	remove func(ctx context.Context, c *bctrl.Client, key string, opts []bctrl.CallOption) error
	// read returns the number and the version of the content that is stored: 0
	// when there is none, an error when it is not whole.
	read func(ctx context.Context, c *bctrl.Client, key string) (n int, version int64, err error)
}

func kinds(p *provider) []kind { return []kind{vaultKind(), credentialKind(p), fileKind()} }

// text is the content of a record under a number: the same every time, and of
// up to size bytes.
func text(key string, n, size int) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", key, n)
	rng := rand.New(rand.NewPCG(h.Sum64(), 0))
	var b strings.Builder
	for range rng.IntN(size / 16) {
		fmt.Fprintf(&b, "%016x", rng.Uint64())
	}
	return b.String()
}

var errHalf = errors.New("the record is not whole")

func vaultKind() kind {
	credential := func(key string, n int) bctrl.VaultCredential {
		return bctrl.VaultCredential{
			Username: fmt.Sprint(n),
			Password: bctrl.NewSecret(text(key, n, 200) + "."),
			Notes:    text(key, n, 8<<10),
			Origins:  []string{fmt.Sprintf("https://n%d.example.com", n)},
			Fill:     bctrl.FillSwap,
		}
	}
	return kind{
		name:      "vault",
		versioned: true,
		write: func(ctx context.Context, c *bctrl.Client, key string, n int, _ bool, opts []bctrl.CallOption) (int64, error) {
			e, err := c.Vault.Set(ctx, key, credential(key, n), opts...)
			if err != nil {
				return 0, err
			}
			return e.Version, nil
		},
		remove: func(ctx context.Context, c *bctrl.Client, key string, opts []bctrl.CallOption) error {
			return c.Vault.Delete(ctx, key, opts...)
		},
		read: func(ctx context.Context, c *bctrl.Client, key string) (int, int64, error) {
			got, err := c.Vault.Get(ctx, key)
			if errors.Is(err, bctrl.ErrNotFound) {
				return 0, 0, nil
			}
			if err != nil {
				return 0, 0, err
			}
			var n int
			if _, err := fmt.Sscan(got.Username, &n); err != nil {
				return 0, 0, errHalf
			}
			want := credential(key, n)
			if !got.Password.Equal(want.Password) || got.Notes != want.Notes || len(got.Origins) != 1 ||
				got.Origins[0] != want.Origins[0] {
				return 0, 0, errHalf
			}
			for e, err := range c.Vault.Entries(ctx, bctrl.VaultFilter{Prefix: key}) {
				return n, e.Version, err
			}
			return 0, 0, errHalf
		},
	}
}

// provider answers to the one API key that belongs to what it is asked under,
// so that a credential can be proved whole though its key is never returned.
type provider struct{ *httptest.Server }

func newProvider(t *testing.T) *provider {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{id}/{n}/models", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || r.Header.Get("Authorization") != "Bearer "+apiKey(r.PathValue("id"), n).Expose() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	})
	p := &provider{httptest.NewServer(mux)}
	t.Cleanup(p.Close)
	return p
}

func apiKey(id string, n int) bctrl.Secret { return bctrl.NewSecret("sk-" + text(id, n, 100)) }

func credentialKind(p *provider) kind {
	label := func(id string, n int) string { return strconv.Itoa(n) + " " + text(id, n, 200) }
	base := func(id string, n int) string {
		base, err := url.JoinPath(p.URL, id, strconv.Itoa(n))
		if err != nil {
			panic(err) // a port and two plain words
		}
		return base
	}
	return kind{
		name: "credential",
		write: func(
			ctx context.Context, c *bctrl.Client, id string, n int, isNew bool, opts []bctrl.CallOption,
		) (int64, error) {
			if isNew {
				_, err := c.AICredentials.Create(ctx, bctrl.AICredentialCreate{
					ID:       id,
					Provider: bctrl.OpenAICompatible,
					Label:    label(id, n),
					BaseURL:  base(id, n),
					APIKey:   apiKey(id, n),
				}, opts...)
				return 0, err
			}
			_, err := c.AICredentials.Update(ctx, id, bctrl.AICredentialUpdate{Label: new(label(id, n)),
				BaseURL: new(base(id, n)), APIKey: apiKey(id, n)}, opts...)
			return 0, err
		},
		remove: func(ctx context.Context, c *bctrl.Client, id string, opts []bctrl.CallOption) error {
			var deletion []bctrl.DeleteOption
			for _, o := range opts {
				deletion = append(deletion, o)
			}
			return c.AICredentials.Delete(ctx, id, deletion...)
		},
		read: func(ctx context.Context, c *bctrl.Client, id string) (int, int64, error) {
			got, err := c.AICredentials.Get(ctx, id)
			if errors.Is(err, bctrl.ErrNotFound) {
				return 0, 0, nil
			}
			if err != nil {
				return 0, 0, err
			}
			number, _, _ := strings.Cut(got.Label, " ")
			n, err := strconv.Atoi(number)
			if err != nil || got.Label != label(id, n) || got.BaseURL != base(id, n) {
				return 0, 0, errHalf
			}
			proof, err := c.AICredentials.Test(ctx, id)
			if err == nil && !proof.OK {
				err = fmt.Errorf("%w: %s", errHalf, proof.Message)
			}
			return n, 0, err
		},
	}
}

// files is the namespace of the files.
const files = "files"

func fileKind() kind {
	// A folder a record, whose sums the server keeps.
	path := func(key string) string { return key + "/file.txt" }
	content := func(key string, n int) string { return strconv.Itoa(n) + " " + text(key, n, 64<<10) }
	return kind{
		name: "file",
		write: func(ctx context.Context, c *bctrl.Client, key string, n int, _ bool, opts []bctrl.CallOption) (int64, error) {
			var upload []bctrl.UploadOption
			for _, o := range opts {
				upload = append(upload, o)
			}
			_, err := c.Storage(files).Upload(ctx, path(key), strings.NewReader(content(key, n)), upload...)
			return 0, err
		},
		remove: func(ctx context.Context, c *bctrl.Client, key string, opts []bctrl.CallOption) error {
			return c.Storage(files).Delete(ctx, path(key), opts...)
		},
		read: func(ctx context.Context, c *bctrl.Client, key string) (int, int64, error) {
			got, err := c.Storage(files).Get(ctx, path(key))
			if errors.Is(err, bctrl.ErrNotFound) {
				return 0, 0, nil
			}
			if err != nil {
				return 0, 0, err
			}
			number, _, _ := strings.Cut(string(got), " ")
			n, err := strconv.Atoi(number)
			if err != nil || string(got) != content(key, n) {
				return 0, 0, errHalf
			}
			return n, 0, checkFolder(ctx, c, key, int64(len(got)))
		},
	}
}

// checkFolder requires that the sums of the file's folder are those of its
// file.
func checkFolder(ctx context.Context, c *bctrl.Client, key string, size int64) error {
	for item, err := range c.Storage(files).Browse(ctx, bctrl.BrowseOptions{Delimiter: "/"}) {
		if err != nil {
			return err
		}
		if item.Path != key+"/" {
			continue
		}
		if item.Folder.FileCount != 1 || item.Folder.TotalBytes != size {
			return fmt.Errorf("%w: its folder has %d files of %d bytes, want 1 of %d", errHalf, item.Folder.FileCount,
				item.Folder.TotalBytes, size)
		}
		return nil
	}
	return fmt.Errorf("%w: its folder is not listed", errHalf)
}
