package vault

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/prefix"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// list lists keys, or with meta what may be known of them. A runtime caller sees
// exactly the keys that it may use.
func (s *Service) list(ctx context.Context, rq *web.Request, _ web.None) (any, error) {
	limit, after, err := rq.Page()
	if err != nil {
		return nil, err
	}
	filter := store.VaultRange{After: after, Limit: limit + 1}
	if filter.HasTOTP, err = rq.OptionalFlag("hasTotp"); err != nil {
		return nil, err
	}
	withMeta, err := rq.Flag("meta")
	if err != nil {
		return nil, err
	}
	prefix := rq.Query.Get("prefix")
	if prefix == "" {
		prefix = "/"
	}
	if err := bctrl.ValidVaultPrefix(prefix); err != nil {
		return nil, err
	}
	rq.MarkDecided("") // by filtering: an empty list says nothing of what exists
	ranges := keyRanges(rq.Caller, prefix)
	if withMeta {
		rows, err := s.listableEntries(ctx, rq.Caller, ranges, filter)
		if err != nil {
			return nil, err
		}
		return entryPage(rows, limit)
	}
	itself := func(key string) string { return key }
	rows, err := readListable(ranges, filter, rq.Caller, itself, func(r store.VaultRange) ([]string, error) {
		return s.DB.Read().VaultKeys(ctx, rq.Caller.Org, r)
	})
	if err != nil {
		return nil, err
	}
	rows, next := web.PageOf(rows, limit, itself)
	return wire.List[string]{Plural: wire.VaultKeys, Items: rows, NextCursor: next}, nil
}

func entryKey(e store.VaultEntry) string { return e.Key }

// listableEntries reads the entries in ranges that the caller may list.
func (s *Service) listableEntries(
	ctx context.Context, c access.Caller, ranges []store.VaultRange, filter store.VaultRange,
) ([]store.VaultEntry, error) {
	return readListable(ranges, filter, c, entryKey, func(r store.VaultRange) ([]store.VaultEntry, error) {
		return s.DB.Read().VaultEntries(ctx, c.Org, r)
	})
}

// Login is a vault entry, still sealed, and what may be known of it before it is
// used. Its seal proves it only when it is: see [OpenedLogin].
type Login struct {
	Entry store.VaultEntry
	Meta  Meta
}

// UsableLogins lists the first entries, in order of their keys and at most so
// many, that the mounts of the caller permit. The list is the decision: a caller
// without mounts of the vault gets none.
func (s *Service) UsableLogins(ctx context.Context, c access.Caller, most int) ([]Login, error) {
	rows, err := s.listableEntries(ctx, c, keyRanges(c, "/"), store.VaultRange{Limit: most})
	if err != nil {
		return nil, err
	}
	list := make([]Login, len(rows))
	for i, e := range rows {
		meta, err := parseMeta(e)
		if err != nil {
			return nil, err
		}
		list[i] = Login{e, meta}
	}
	return list, nil
}

func entryPage(rows []store.VaultEntry, limit int) (any, error) {
	rows, next := web.PageOf(rows, limit, entryKey)
	list := wire.List[bctrl.VaultEntry]{Plural: wire.VaultEntries, NextCursor: next}
	for _, e := range rows {
		meta, err := parseMeta(e)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, describe(e, meta))
	}
	return list, nil
}

// parseMeta reads what a row says of itself, before its seal has proved it.
func parseMeta(e store.VaultEntry) (meta Meta, err error) {
	if json.Unmarshal(e.Meta, &meta) != nil {
		return meta, web.Tampered("vault.tampered")
	}
	return meta, nil
}

// readListable reads ranges of keys in order until the filter's limit is reached, leaving
// out what the caller may not list.
func readListable[T any](
	ranges []store.VaultRange, filter store.VaultRange, c access.Caller,
	key func(T) string, read func(store.VaultRange) ([]T, error),
) ([]T, error) {
	var out []T
	for _, r := range ranges {
		r.HasTOTP, r.Limit, r.After = filter.HasTOTP, filter.Limit, filter.After
		for len(out) < filter.Limit {
			rows, err := read(r)
			if err != nil {
				return nil, err
			}
			out = slices.Grow(out, len(rows))
			for _, row := range rows {
				if len(out) < filter.Limit && access.Decide(c, access.Action{Verb: bctrl.ListVault, Object: key(row)}) {
					out = append(out, row)
				}
			}
			if len(rows) < r.Limit {
				break
			}
			r.After = key(rows[len(rows)-1])
		}
	}
	return out, nil
}

// keyRanges are the disjoint ranges, in order, in which the caller's keys below
// the prefix that is asked for lie, so that a list costs what the caller may see
// and not what else is stored.
func keyRanges(c access.Caller, asked string) []store.VaultRange {
	prefixes := []string{asked}
	if c.Runtime != nil {
		prefixes = nil
		for _, p := range mountedPrefixes(c.Runtime.Chain) {
			if below, ok := prefix.Deeper(asked, p); ok {
				prefixes = append(prefixes, below)
			}
		}
	}
	var ranges []store.VaultRange
	for _, p := range prefixes {
		ranges = append(ranges, prefixRanges(p)...)
	}
	slices.SortFunc(ranges, func(a, b store.VaultRange) int { return strings.Compare(a.From, b.From) })
	var kept *store.VaultRange // the last: every other is nested in it or disjoint from it
	return slices.DeleteFunc(ranges, func(r store.VaultRange) bool {
		if kept != nil && (kept.To == "" || r.To != "" && r.To <= kept.To) {
			return true
		}
		kept = &r
		return false
	})
}

// mountedPrefixes are the prefixes below which every key lies that the chain
// permits, among others: they say where to look, not what to show.
func mountedPrefixes(c bctrl.Chain) []string {
	if v := c.Effective().Vault; v != nil {
		return v.Allow
	}
	return nil
}

// prefixRanges turns a prefix into ranges of keys: "a/" is everything below a,
// "a" that and a itself. '0' is the byte after '/'.
func prefixRanges(p string) []store.VaultRange {
	if p == names.Everything {
		return []store.VaultRange{{}}
	}
	if strict, ok := strings.CutSuffix(p, "/"); ok {
		return []store.VaultRange{{From: p, To: strict + "0"}}
	}
	return []store.VaultRange{{From: p, To: p + "\x00"}, {From: p + "/", To: p + "0"}}
}
