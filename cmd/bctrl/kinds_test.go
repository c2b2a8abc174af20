package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

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

func kinds() []kind { return []kind{vaultKind()} }

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
			Username: fmt.Sprint(n), Password: bctrl.NewSecret(text(key, n, 200) + "."), Notes: text(key, n, 8<<10),
			Origins: []string{fmt.Sprintf("https://n%d.example.com", n)}, Fill: bctrl.FillSwap,
		}
	}
	return kind{
		name: "vault", versioned: true,
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
			if !got.Password.Equal(want.Password) || got.Notes != want.Notes || len(got.Origins) != 1 || got.Origins[0] != want.Origins[0] {
				return 0, 0, errHalf
			}
			for e, err := range c.Vault.Entries(ctx, bctrl.VaultFilter{Prefix: key}) {
				return n, e.Version, err
			}
			return 0, 0, errHalf
		},
	}
}
