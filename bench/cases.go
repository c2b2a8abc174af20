package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/bctrl-go/bctrl"
)

const (
	pageSize  = 1000
	namespace = "bench"
	seed      = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	sampleID  = "018f4e8a-7c1b-7d3a-9f00-000000000000"
	sampleSum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// vaultKey and objectPath name the unrelated entries, many to a folder.
func vaultKey(i int) string   { return fmt.Sprintf("bulk/team-%02d/site-%06d", i%10, i) }
func objectPath(i int) string { return fmt.Sprintf("bulk/report-%06d.csv", i) }

// workKey is what a caller works on: 64 keys each, beside the unrelated ones.
func workKey(caller, i int) string { return fmt.Sprintf("work/c%02d/k%02d", caller, i%64) }

// workCredential is the AI credential that is read.
const workCredential = "bench-openai"

func sampleCredential() bctrl.VaultCredential {
	l := sampleLogin()
	return bctrl.VaultCredential{
		Username: l.Username,
		Password: bctrl.NewSecret(l.Password),
		TOTP:     bctrl.NewSecret(l.TOTP),
		Origins:  l.Origins,
	}
}

// comparison is one cost: how the SDK asks the server, and how one asks the
// bare server for an answer of the same size without the SDK.
type comparison struct {
	name         string
	ours, theirs call
}

// comparisons are the costs of a server.
func comparisons(c *bctrl.Client, bare *plainClient) []comparison {
	get := func(ctx context.Context, out any, query url.Values, segments ...string) error {
		return bare.call(ctx, http.MethodGet, query, nil, out, segments...)
	}
	credential := sampleCredential()
	plain := sampleLogin()
	page := url.Values{"limit": {strconv.Itoa(pageSize)}}
	return []comparison{
		{
			"vault set",
			func(ctx context.Context, caller, i int) error {
				_, err := c.Vault.Set(ctx, workKey(caller, i), credential)
				return err
			},
			func(ctx context.Context, caller, i int) error {
				var out entry
				return bare.call(ctx, http.MethodPut, nil, plain, &out, "vault", workKey(caller, i))
			},
		},
		{
			"vault get",
			func(ctx context.Context, caller, i int) error {
				_, err := c.Vault.Get(ctx, workKey(caller, i))
				return err
			},
			func(ctx context.Context, caller, i int) error {
				var out login
				return get(ctx, &out, nil, "vault", workKey(caller, i))
			},
		},
		{
			"TOTP code",
			func(ctx context.Context, caller, i int) error {
				_, err := c.Vault.TOTP(ctx, workKey(caller, i))
				return err
			},
			func(ctx context.Context, caller, i int) error {
				var out struct{ Code, ExpiresAt string }
				return get(ctx, &out, nil, "vault", workKey(caller, i), "totp")
			},
		},
		{
			"list 1000 keys",
			func(ctx context.Context, _, _ int) error {
				out, err := c.Vault.KeysPage(ctx, "bulk/", bctrl.PageOptions{Limit: pageSize})
				return full(err, err == nil && len(out.Items) == pageSize)
			},
			func(ctx context.Context, _, _ int) error {
				var out struct {
					Keys       []string
					NextCursor string
				}
				return get(ctx, &out, page, "vault")
			},
		},
		{
			"AI credential get",
			func(ctx context.Context, _, _ int) error {
				_, err := c.AICredentials.Get(ctx, workCredential)
				return err
			},
			func(ctx context.Context, _, _ int) error {
				var out bctrl.AICredential
				return get(ctx, &out, nil, "ai-credentials", workCredential)
			},
		},
		{
			"browse 1000 files",
			func(ctx context.Context, _, _ int) error {
				out, err := c.Storage(namespace).BrowsePage(ctx, bctrl.BrowseOptions{Prefix: "bulk/", Delimiter: "/"},
					bctrl.PageOptions{Limit: pageSize})
				return full(err, err == nil && len(out.Files) == pageSize)
			},
			func(ctx context.Context, _, _ int) error {
				var out struct {
					Files      []bareFile
					Folders    []string
					NextCursor string
				}
				return get(ctx, &out, page, "storage", "namespaces", namespace, "browse")
			},
		},
		{
			"browse folders",
			func(ctx context.Context, _, _ int) error {
				out, err := c.Storage(namespace).BrowsePage(ctx, bctrl.BrowseOptions{Delimiter: "/"},
					bctrl.PageOptions{Limit: pageSize})
				return full(err, err == nil && len(out.Folders) > 0)
			},
			func(ctx context.Context, _, _ int) error {
				var out login
				return get(ctx, &out, nil, "vault", "x")
			},
		},
	}
}

// full fails a measurement that found less than it was to fetch.
func full(err error, ok bool) error {
	if err == nil && !ok {
		return fmt.Errorf("the answer is not as long as it should be")
	}
	return err
}
