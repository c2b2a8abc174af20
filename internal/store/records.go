package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Record is a row whose every state is in the audit log, so that one that was
// changed, put back, added or removed behind the server's back is found.
type Record struct {
	Kind, UID, Org string
	Version        int64
	// Digest is the SHA-256 of the row's content, in base64url; empty where the
	// row was deleted. What is secret in the row is in it as sealed, with its
	// random nonce, so that no guess at it can be checked.
	Digest string
}

// Name is how the audit log's index has it.
func (r Record) Name() string { return r.Kind + ":" + r.UID }

// The kinds of records.
const (
	KindVault        = "vault"
	KindAICredential = "ai_credential"
	KindDataKey      = "data_key"
	KindServerValue  = "server_value"
	KindAPIKey       = "api_key"
	KindWorkspace    = "workspace"
	KindSecret       = "secret"

	KindCredential       = "credential"
	KindCapability       = "capability"
	KindCapabilityPolicy = "capability_policy"
	KindBinding          = "binding"

	KindWebhook = "webhook"

	// KindOrganization is also that of subaccounts.
	KindOrganization = "organization"
	// KindRuntimeToken is of a record that may go without an event: with its
	// runtime, and some time after it has expired.
	KindRuntimeToken = "token"
	// KindRuntime is of a record that goes with its workspace, without an event of its own.
	KindRuntime = "runtime"
	// KindObject is a version of a file, which is deleted when another replaces it.
	KindObject = "object"
)

// The kinds of rows that are proven, and of which the log has no state.
const (
	KindMountPin   = "ai_mount"
	KindProfile    = "profile"
	KindOperation  = "operation"
	KindInvokeRate = "invoke_rate"
	KindCachedTask = "cached_task"
	KindEvent      = "event"
	KindDelivery   = "webhook_delivery"
)

// errUnrecorded refuses a transaction that wrote a record without an event.
var errUnrecorded = errors.New("store: a record was written without an event in the audit log")

// wroteRecord makes the next [Tx.Append] record the new state of a row.
func (tx *Tx) wroteRecord(r Record) {
	tx.written = append(tx.written, r)
	if tx.unlogged[ofJob] == nil {
		tx.unlogged[ofJob] = map[string]string{}
	}
	tx.unlogged[ofJob][r.Name()] = r.Digest
	if r.Kind == KindVault {
		tx.entryCache.wrote(r.Org, r.UID)
	}
}

// Written returns what tx has written since the last [Tx.Append].
func (tx *Tx) Written() []Record { return tx.written }

// deleted is the record of a row that is gone.
func deleted(kind, org, uid string) Record { return Record{Kind: kind, UID: uid, Org: org} }

// recordOf is the record of a row whose columns are in cells.
func recordOf(kind, org, uid string, version int64, cells tuple.Encoding) Record {
	return Record{
		Kind:    kind,
		UID:     uid,
		Org:     org,
		Version: version,
		Digest:  digest(cells),
	}
}

// digest covers every column of a row.
func digest(row tuple.Encoding) string {
	sum := sha256.Sum256(row)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (e VaultEntry) record(org string) Record {
	return e.recordFolded(org, strings.ToLower(e.Key))
}

// recordFolded is the record of an entry that is found by folded.
func (e VaultEntry) recordFolded(org, folded string) Record {
	row := cellsOf(KindVault).Text(org, e.Key, folded).Flag(e.HasTOTP).Bytes(e.Meta, e.Sealed).
		Number(millis(e.CreatedAt), millis(e.UpdatedAt))
	return recordOf(KindVault, org, e.UID, e.Version, row)
}

func (c AICredential) record(org string) Record {
	row := cellsOf(KindAICredential).Text(org, c.ID).Bytes(c.Meta, c.Sealed).
		Number(millis(c.CreatedAt), millis(c.UpdatedAt))
	return recordOf(KindAICredential, org, c.UID, c.Version, row)
}

func (s Secret) record(org string) Record {
	row := cellsOf(KindSecret).Text(org, s.Scope.WorkspaceID(), s.Scope.GroupID(), s.Name, s.Provider).
		Flag(s.AttachedOnly).Bytes(s.Meta, s.Sealed).Number(millis(s.CreatedAt), millis(s.UpdatedAt))
	return recordOf(KindSecret, org, s.ID, s.Version, row)
}

func (d DEK) record() Record {
	row := cellsOf(KindDataKey).Text(d.Scope, d.KEKID).Bytes(d.Wrapped).Number(millis(d.CreatedAt))
	return recordOf(KindDataKey, "", d.ID, d.Version, row)
}

func serverValueRecord(name string, sealed []byte) Record {
	return recordOf(KindServerValue, "", name, 1, cellsOf(KindServerValue).Bytes(sealed))
}

func (k APIKey) record() Record {
	version := int64(1)
	if k.ended() {
		version = 2
	}
	return recordOf(KindAPIKey, k.Org, k.ID, version, k.cells())
}

func (o Organization) record() Record {
	version := int64(1)
	if o.Closed {
		version = 2
	}
	return recordOf(KindOrganization, o.ID, o.ID, version, o.cells())
}

func (t RuntimeToken) record(org string) Record {
	version := int64(1)
	if t.ended() {
		version = 2
	}
	return recordOf(KindRuntimeToken, org, t.ID, version, t.cells(org))
}

// record has a version for each of the three states that a runtime can be in, one
// after the other.
func (r *runtimeRow) record(org string) Record {
	version := int64(3)
	switch r.Status {
	case bctrl.RuntimeStarting:
		version = 1
	case bctrl.RuntimeActive:
		version = 2
	}
	return recordOf(KindRuntime, org, r.ID, version, r.cells(org))
}

func (w Workspace) record(org string, mounts []byte) Record {
	return recordOf(KindWorkspace, org, w.ID, w.Version, w.cells(org, mounts))
}

// recordTable is a table whose rows are records.
type recordTable struct {
	kind, table, uid, columns string
	scan                      func(scanner) (Record, error)
}

// recordTables are all of them.
func recordTables() []recordTable {
	return []recordTable{
		{KindVault, "vault_entries", "uid", "org_id, folded, " + vaultColumns, func(row scanner) (Record, error) {
			var org, folded string
			e, err := scanVaultEntry(afterColumn(afterColumn(row, &org), &folded))
			return e.recordFolded(org, folded), err
		}},
		{KindAICredential, "ai_credentials", "uid", "org_id, " + aiCredentialColumns,
			scanOwnedRecord(scanAICredential, AICredential.record)},
		{KindSecret, "secrets", "id", "org_id, " + secretColumns, scanOwnedRecord(scanSecret, Secret.record)},
		{KindDataKey, "deks", "id", dekColumns, func(row scanner) (Record, error) {
			d, err := scanDEK(row)
			return d.record(), err
		}},
		{KindServerValue, "sealed_values", "name", "name, sealed", func(row scanner) (Record, error) {
			var name string
			var sealed []byte
			err := row(&name, &sealed)
			return serverValueRecord(name, sealed), err
		}},
		{KindOrganization, "organizations", "id", organizationColumns, func(row scanner) (Record, error) {
			o, _, err := scanOrganization(row)
			return o.record(), err
		}},
		{KindAPIKey, "api_keys", "id", apiKeyColumns, func(row scanner) (Record, error) {
			k, _, err := scanAPIKey(row)
			return k.record(), err
		}},
		{KindRuntimeToken, "runtime_tokens", "id", runtimeTokenColumns, func(row scanner) (Record, error) {
			t, p, err := scanRuntimeToken(row)
			return t.record(p.org), err
		}},
		{KindRuntime, "runtimes", "id", runtimeColumns, func(row scanner) (Record, error) {
			r, p, err := scanRuntimeRow(row)
			return r.record(p.org), err
		}},
		{KindObject, "objects", "id", objectColumns, func(row scanner) (Record, error) {
			_, p, err := scanObject(row)
			return objectRecord(p.org, p.uid, p.cells), err
		}},
		{KindWorkspace, "workspaces", "id", workspaceColumns, func(row scanner) (r Record, err error) {
			var w Workspace
			var mounts []byte
			p, err := scanWorkspaceRow(row, &w, &mounts)
			return w.record(p.org, mounts), err
		}},
		{KindCredential, "credentials", "uid", "org_id, " + credentialColumns,
			scanOwnedRecord(scanCredential, Credential.record)},
		{KindCapability, "capabilities", "uid", "org_id, " + capabilityColumns,
			scanOwnedRecord(scanCapability, Capability.record)},
		{KindCapabilityPolicy, "capability_policies", "uid", "org_id, " + capabilityPolicyColumns,
			scanOwnedRecord(scanCapabilityPolicy, CapabilityPolicy.record)},
		{KindWebhook, "webhooks", "uid", "org_id, " + webhookColumns, scanOwnedRecord(scanWebhook, Webhook.record)},
		{KindBinding, "bindings", "uid", "org_id, " + bindingColumns, scanOwnedRecord(scanBinding, Binding.record)},
	}
}

// scanOwnedRecord reads a row whose first column is its organization.
func scanOwnedRecord[T any](
	scan func(scanner) (T, error), record func(T, string) Record,
) func(scanner) (Record, error) {
	return func(row scanner) (Record, error) {
		var org string
		v, err := scan(afterColumn(row, &org))
		return record(v, org), err
	}
}

// afterColumn reads the first column of a row into first. What it returns reads the
// others.
func afterColumn(row scanner, first any) scanner {
	return func(dest ...any) error { return row(append([]any{first}, dest...)...) }
}

// Record returns the row of a record as it is now, or a [ForgedError] where it
// holds what no column of it can.
func (q Queries) Record(ctx context.Context, kind, uid string) (Record, error) {
	tables := recordTables()
	i := slices.IndexFunc(tables, func(k recordTable) bool { return k.kind == kind })
	if i < 0 {
		return Record{}, ErrNotFound
	}
	k := tables[i]
	r, err := one(ctx, q, k.scan, "SELECT "+k.columns+" FROM "+k.table+" WHERE "+k.uid+" = $1", uid)
	if isUnreadable(err) {
		err = &ForgedError{kind, uid}
	}
	return r, err
}

// EachUnrecorded calls fn with every row that no event has ever written. One that
// cannot be read has no more than its kind.
func (q Queries) EachUnrecorded(ctx context.Context, fn func(Record) error) error {
	for _, k := range recordTables() {
		scan := func(row scanner) (Record, error) {
			r, err := k.scan(row)
			if isUnreadable(err) {
				return Record{Kind: k.kind}, nil
			}
			return r, err
		}
		err := each(ctx, q, scan, fn, "SELECT "+k.columns+" FROM "+k.table+" AS t WHERE "+k.unrecorded())
		if err != nil {
			return err
		}
	}
	return nil
}

// unrecorded is the condition that no event has written a row of the table, t. Where no index has the events
// of the kind all of them are read once.
func (k recordTable) unrecorded() string {
	name := "'" + k.kind + ":' || t." + k.uid
	if k.kind == KindVault {
		return name + " IN (SELECT " + name + " FROM " + k.table + " AS t EXCEPT SELECT record FROM audit_events " +
			"WHERE record IS NOT NULL AND NOT (" + hasRecordIndex + "))"
	}
	return "NOT EXISTS (SELECT 1 FROM audit_events WHERE record = " + name + " AND " + hasRecordIndex + ")"
}
