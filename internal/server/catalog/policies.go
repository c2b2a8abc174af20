package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// policyRecord is what the seal of a policy covers.
func policyRecord(org string, row store.CapabilityPolicy) seal.Record {
	return sealOf("capability_policy", org, row.UID, row.Version, row.Capability, string(row.Meta))
}

// verifyPolicy checks the seal of a policy's row and reads it.
func (s *Service) verifyPolicy(org string, row store.CapabilityPolicy) (*bctrl.CapabilityPolicy, error) {
	policy := &bctrl.CapabilityPolicy{}
	err := s.verifyRecord(policyRecord(org, row), row.Sealed, "capabilities.tampered")
	if err == nil && json.Unmarshal(row.Meta, policy) != nil {
		err = web.Tampered("capabilities.tampered")
	}
	return policy, err
}

// FindPolicy returns the limits of a capability, nil where it has none, and
// capabilities.tampered where the seal does not match. It does not ask whether
// there is such a capability.
func (s *Service) FindPolicy(
	ctx context.Context, q store.Queries, org, capability string,
) (*bctrl.CapabilityPolicy, error) {
	row, err := q.CapabilityPolicy(ctx, org, capability)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.verifyPolicy(org, row)
}

// putCapabilityPolicy replaces the limits of a capability. A policy without any limit
// deletes the one that there is.
func (s *Service) putCapabilityPolicy(
	ctx context.Context, rq *web.Request, in bctrl.CapabilityPolicy,
) (bctrl.CapabilityPolicy, error) {
	id, err := rq.Path("id", ValidCapabilityID)
	if err != nil {
		return in, err
	}
	if err := rq.Authorize(id); err != nil {
		return in, err
	}
	if err := checkPolicy(in); err != nil {
		return in, err
	}
	in.Redact = slices.Compact(slices.Sorted(slices.Values(in.Redact)))
	return web.Change(ctx, rq, func(tx *store.Tx, _ *audit.Event) (bctrl.CapabilityPolicy, error) {
		if _, err := s.FindDefinition(ctx, tx.Queries, rq.Caller.Org, id); err != nil {
			return in, err
		}
		row, err := tx.CapabilityPolicy(ctx, rq.Caller.Org, id)
		missing := errors.Is(err, store.ErrNotFound)
		limits := in.CallsPerMinute+len(in.Redact) > 0 || in.MaxRequestBytes+in.MaxResponseBytes > 0
		switch {
		case missing && !limits:
			return in, nil
		case missing:
			row = store.CapabilityPolicy{UID: store.PolicyUID(rq.Caller.Org, id), Capability: id}
		case err != nil:
			return in, err
		case !limits:
			return in, tx.DeleteCapabilityPolicy(ctx, rq.Caller.Org, row.UID)
		}
		if in.CallsPerMinute > 0 {
			if err := tx.CountCalls(ctx, rq.Caller.Org, id); err != nil {
				return in, err
			}
		}
		row.Version++
		row.UpdatedAt = store.Now()
		if row.Meta, err = json.Marshal(in); err != nil {
			return in, err
		}
		if row.Sealed, err = s.Keys.Seal(policyRecord(rq.Caller.Org, row), nil); err != nil {
			return in, err
		}
		if missing {
			return in, tx.InsertCapabilityPolicy(ctx, rq.Caller.Org, row)
		}
		return in, tx.UpdateCapabilityPolicy(ctx, rq.Caller.Org, row)
	})
}

// checkPolicy names everything that is wrong with a policy.
func checkPolicy(c bctrl.CapabilityPolicy) error {
	var p web.Problems
	within := func(field string, n, most int64) {
		if n < 0 || n > most {
			p.Add("capabilities.invalid_limit", field, "it is out of range")
		}
	}
	within("callsPerMinute", int64(c.CallsPerMinute), maxCallsPerMinute)
	within("maxRequestBytes", c.MaxRequestBytes, maxPolicyBytes)
	within("maxResponseBytes", c.MaxResponseBytes, maxPolicyBytes)
	p.Limit("redact", len(c.Redact), maxRedact)
	for i, path := range c.Redact {
		isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
		if len(path) > maxRedactBytes || slices.Contains(strings.Split(path, "."), "") ||
			strings.ContainsFunc(path, isControl) {
			p.Add("capabilities.invalid_redact", web.FieldAt("redact", i),
				"it is the name of a field, or names with a dot between them")
		}
	}
	return p.Err()
}
