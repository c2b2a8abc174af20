package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// Finding is a row that is not as this server wrote it, beside the records that
// the log has the states of.
type Finding struct {
	Kind, UID, Org string
	Fault          Fault
}

// Fault is what is wrong with a row.
type Fault int

// The faults.
const (
	// Unproven rows were made, moved or changed.
	Unproven Fault = iota
	// Missing rows were deleted.
	Missing
	// Added rows follow from nothing.
	Added
	// Foreign is what the schema has and this server did not put there.
	Foreign
)

func (f Fault) of(kind, uid, org string) Finding {
	return Finding{
		Kind:  kind,
		UID:   uid,
		Org:   org,
		Fault: f,
	}
}

// The kinds of rows that follow from others.
const (
	kindSecretName       = "secret_name"
	kindSecretAttachment = "secret_attachment"
	kindCredentialSecret = "credential_secret"
	kindCredentialReach  = "credential_reach"
	kindFolder           = "folder"
)

// EachFinding calls fn with every row that has no proof for what it holds, and
// with what an index has too much or too little. The columns of an index that
// lie in a record itself are the log's to compare.
func (q Queries) EachFinding(ctx context.Context, fn func(Finding)) error {
	return errors.Join(
		q.unproven(ctx, fn), q.secretIndexes(ctx, fn), q.credentialIndexes(ctx, fn), q.credentialReach(ctx, fn),
		q.leftBehind(ctx, fn), q.mountPins(ctx, fn), q.missingRates(ctx, fn), q.folderSums(ctx, fn), q.schema(ctx, fn),
	)
}

// unproven finds the rows whose proof is not that of what they hold.
func (q Queries) unproven(ctx context.Context, fn func(Finding)) error {
	for _, t := range provenTables() {
		find := func(row scanner) (found *Finding, err error) {
			_, p, _, err := readProven(t.scan)(row)
			if err == nil {
				err = q.checkProof(p)
			}
			if isForged(err) {
				return new(Unproven.of(p.kind, p.uid, p.org)), nil
			}
			return nil, err
		}
		err := each(ctx, q, find, func(f *Finding) error {
			if f != nil {
				fn(*f)
			}
			return nil
		}, "SELECT "+t.columns+" FROM "+t.table)
		if err != nil {
			return err
		}
	}
	return nil
}

// compareIndex finds the rows that an index of one record lacks, and those that it
// has too much.
func compareIndex[T comparable](kind, uid, org string, want, stored []T, fn func(Finding)) {
	for range missing(want, stored) {
		fn(Missing.of(kind, uid, org))
	}
	for range missing(stored, want) {
		fn(Added.of(kind, uid, org))
	}
}

// indexRow is a row of an index as far as it is compared.
type indexRow struct{ org, workspace, group, name string }

func indexRowIn(org string, scope bctrl.Scope, name string) indexRow {
	return indexRow{
		org:       org,
		workspace: scope.WorkspaceID(),
		group:     scope.GroupID(),
		name:      name,
	}
}

func scanIndexRow(row scanner) (p indexRow, err error) {
	return p, row(&p.org, &p.workspace, &p.group, &p.name)
}

// secretIndexes compares names and attachments with the meta of their secrets,
// which is compared with the log.
func (q Queries) secretIndexes(ctx context.Context, fn func(Finding)) error {
	err := each(ctx, q, func(row scanner) (s ownedSecret, err error) {
		s.Secret, err = scanSecret(afterColumn(row, &s.org))
		return s, err
	}, func(s ownedSecret) error { return q.secretIndex(ctx, s, fn) }, "SELECT org_id, "+secretColumns+" FROM secrets")
	if err != nil {
		return err
	}
	return errors.Join(
		q.orphans(ctx, kindSecretName, "SELECT org_id, '', '', secret_id FROM secret_names "+
			"WHERE secret_id NOT IN (SELECT id FROM secrets)", fn),
		q.orphans(ctx, kindSecretAttachment, "SELECT org_id, '', '', secret_id FROM secret_attachments "+
			"WHERE secret_id NOT IN (SELECT id FROM secrets)", fn),
	)
}

type ownedSecret struct {
	Secret
	org string
}

func (q Queries) secretIndex(ctx context.Context, s ownedSecret, fn func(Finding)) error {
	var meta struct {
		Name        string
		Aliases     []string
		Attachments []bctrl.Scope
	}
	if json.Unmarshal(s.Meta, &meta) != nil {
		return nil //nolint:nilerr // the log names the secret
	}
	var names, attached []indexRow
	for _, name := range append([]string{meta.Name}, meta.Aliases...) {
		names = append(names, indexRowIn(s.org, s.Scope, name))
	}
	for _, to := range meta.Attachments {
		attached = append(attached, indexRowIn(s.org, to, ""))
	}
	found, err := many(ctx, q, scanIndexRow, "SELECT org_id, workspace_id, group_id, name FROM secret_names "+
		"WHERE secret_id = $1", s.ID)
	if err != nil {
		return err
	}
	compareIndex(kindSecretName, s.ID, s.org, names, found, fn)
	found, err = many(ctx, q, scanIndexRow, "SELECT org_id, workspace_id, group_id, '' FROM secret_attachments "+
		"WHERE secret_id = $1", s.ID)
	compareIndex(kindSecretAttachment, s.ID, s.org, attached, found, fn)
	return err
}

// orphans finds rows of an index that belong to nothing.
func (q Queries) orphans(ctx context.Context, kind, query string, fn func(Finding)) error {
	return each(ctx, q, scanIndexRow, func(p indexRow) error {
		fn(Added.of(kind, p.name, p.org))
		return nil
	}, query)
}

// credentialIndexes compares which secrets are found for a credential with its
// meta.
func (q Queries) credentialIndexes(ctx context.Context, fn func(Finding)) error {
	type owned struct {
		Credential
		org string
	}
	err := each(ctx, q, func(row scanner) (c owned, err error) {
		c.Credential, err = scanCredential(afterColumn(row, &c.org))
		return c, err
	}, func(c owned) error {
		var meta struct{ Secrets map[string]string }
		if json.Unmarshal(c.Meta, &meta) != nil {
			return nil //nolint:nilerr // the log names the credential
		}
		var want []indexRow
		for field, secret := range meta.Secrets {
			want = append(want, indexRow{org: c.org, workspace: field, name: secret})
		}
		found, err := many(ctx, q, scanIndexRow, "SELECT org_id, field, '', secret_id FROM credential_secrets "+
			"WHERE credential_uid = $1", c.UID)
		compareIndex(kindCredentialSecret, c.UID, c.org, want, found, fn)
		return err
	}, "SELECT org_id, "+credentialColumns+" FROM credentials")
	return errors.Join(err, q.orphans(ctx, kindCredentialSecret,
		"SELECT org_id, '', '', credential_uid FROM credential_secrets "+
			"WHERE credential_uid NOT IN (SELECT uid FROM credentials)", fn))
}

// credentialReach compares the index of the groups in which a credential is found
// with the attachments of its secrets, of which it is made.
func (q Queries) credentialReach(ctx context.Context, fn func(Finding)) error {
	const (
		is   = "SELECT org_id, workspace_id, group_id, provider, credential_uid FROM credential_reach"
		made = `SELECT s.org_id, a.workspace_id, a.group_id, c.provider, c.uid AS credential_uid FROM credential_secrets s
			JOIN credentials c ON c.uid = s.credential_uid
			JOIN secret_attachments a ON a.org_id = s.org_id AND a.secret_id = s.secret_id`
	)
	for _, t := range []struct {
		fault Fault
		query string
	}{{Added, is + " EXCEPT " + made}, {Missing, made + " EXCEPT " + is}} {
		err := each(ctx, q, scanIndexRow, func(p indexRow) error {
			fn(t.fault.of(kindCredentialReach, p.name, p.org))
			return nil
		}, "SELECT org_id, workspace_id, group_id, credential_uid FROM ("+t.query+") AS d")
		if err != nil {
			return err
		}
	}
	return nil
}

// mountPins compares which credentials are pinned for a workspace with its mounts.
func (q Queries) mountPins(ctx context.Context, fn func(Finding)) error {
	type owned struct {
		id, org string
		allow   []string
	}
	scan := func(row scanner) (o owned, err error) {
		w, p, err := scanWorkspace(row)
		if err != nil {
			return o, nil //nolint:nilerr // it is not proven
		}
		o = owned{id: w.ID, org: p.org}
		if w.Mounts.AI != nil {
			o.allow = slices.Compact(slices.Sorted(slices.Values(w.Mounts.AI.Allow)))
		}
		return o, nil
	}
	text := func(row scanner) (id string, err error) { return id, row(&id) }
	return each(ctx, q, scan, func(o owned) error {
		if o.id == "" {
			return nil
		}
		found, err := many(ctx, q, text,
			"SELECT credential_id FROM ai_mounts WHERE org_id = $1 AND workspace_id = $2", o.org, o.id)
		compareIndex(KindMountPin, o.id, o.org, o.allow, found, fn)
		return err
	}, "SELECT "+workspaceColumns+" FROM workspaces")
}

// leftBehind finds runtimes and tokens that were put back after their workspace,
// or their runtime, was deleted and they with it.
func (q Queries) leftBehind(ctx context.Context, fn func(Finding)) error {
	return errors.Join(
		q.orphans(ctx, KindRuntime,
			"SELECT org_id, '', '', id FROM runtimes WHERE workspace_id NOT IN (SELECT id FROM workspaces)", fn),
		q.orphans(ctx, KindRuntimeToken, "SELECT org_id, '', '', id FROM runtime_tokens "+
			"WHERE runtime_id NOT IN (SELECT id FROM runtimes)", fn),
	)
}

// missingRates finds capabilities with a limit whose calls are not counted.
func (q Queries) missingRates(ctx context.Context, fn func(Finding)) error {
	type owned struct{ org, capability, meta string }
	scan := func(row scanner) (o owned, err error) { return o, row(&o.org, &o.capability, &o.meta) }
	return each(ctx, q, scan, func(o owned) error {
		var limits struct{ CallsPerMinute int }
		if json.Unmarshal([]byte(o.meta), &limits) == nil && limits.CallsPerMinute > 0 {
			fn(Missing.of(KindInvokeRate, o.capability, o.org))
		}
		return nil
	}, `SELECT org_id, capability, meta FROM capability_policies p
		WHERE NOT EXISTS (SELECT 1 FROM invoke_rates r WHERE r.org_id = p.org_id AND r.capability = p.capability)`)
}

// folderSums compares the stored count and size of each folder with the files in
// it. Files come in the order of their paths, so that all of a folder's come
// together.
func (q Queries) folderSums(ctx context.Context, fn func(Finding)) error {
	s := folderSumCheck{ctx: ctx, q: q, fn: fn}
	scan := func(row scanner) (f sizedFile, err error) { return f, row(&f.org, &f.namespace, &f.path, &f.bytes) }
	err := each(ctx, q, scan, s.add,
		"SELECT org_id, namespace, path, size_bytes FROM objects ORDER BY org_id, namespace, path")
	if err == nil {
		err = s.leave(0)
	}
	if err != nil {
		return err
	}
	return q.orphans(ctx, kindFolder, `SELECT f.org_id, '', '', f.namespace || '/' || f.path FROM folders f
		WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.org_id = f.org_id AND o.namespace = f.namespace
			AND o.path >= f.path AND o.path < f.path || '`+pathTop+`')`, fn)
}

type sizedFile struct {
	org, namespace, path string
	bytes                int64
}

// folderSumCheck adds up the folders that the present file lies in.
type folderSumCheck struct {
	ctx            context.Context
	q              Queries
	fn             func(Finding)
	org, namespace string
	open           []Folder // from the namespace itself downwards
}

func (s *folderSumCheck) add(f sizedFile) error {
	keep := 0
	if f.org == s.org && f.namespace == s.namespace {
		for keep < len(s.open) && strings.HasPrefix(f.path, s.open[keep].Path) {
			keep++
		}
	}
	if err := s.leave(keep); err != nil {
		return err
	}
	s.org, s.namespace = f.org, f.namespace
	if keep == 0 {
		s.open = append(s.open, Folder{})
	}
	for from := len(s.open[len(s.open)-1].Path); ; {
		slash := strings.IndexByte(f.path[from:], '/')
		if slash < 0 {
			break
		}
		from += slash + 1
		s.open = append(s.open, Folder{Path: f.path[:from]})
	}
	for i := range s.open {
		s.open[i].FileCount++
		s.open[i].TotalBytes += f.bytes
	}
	return nil
}

// leave compares the folders below depth, which are complete.
func (s *folderSumCheck) leave(depth int) error {
	for len(s.open) > depth {
		want := s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
		parent := ""
		is, err := one(s.ctx, s.q, func(row scanner) (f Folder, err error) {
			return f, row(&f.Path, &f.FileCount, &f.TotalBytes, &parent)
		}, "SELECT path, file_count, total_bytes, COALESCE(parent, '') FROM folders WHERE org_id = $1 "+
			"AND namespace = $2 AND path = $3",
			s.org, s.namespace, want.Path)
		uid := s.namespace + "/" + want.Path
		switch {
		case errors.Is(err, ErrNotFound):
			s.fn(Missing.of(kindFolder, uid, s.org))
		case err != nil:
			return err
		case is != want || parent != folderOf(strings.TrimSuffix(want.Path, "/")):
			s.fn(Unproven.of(kindFolder, uid, s.org))
		}
	}
	return nil
}
