package catalog

import (
	"context"
	"errors"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/envfile"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxImport is how many lines an import may have.
const maxImport = 1000

// importSecrets stores the secrets of the lines of a file, all or none. Each has an
// event of its own before that of the request.
func (s *Service) importSecrets(
	ctx context.Context, rq *web.Request, in wire.SecretImport[bctrl.Scope],
) (bctrl.SecretsImported, error) {
	if err := rq.Authorize(""); err != nil {
		return bctrl.SecretsImported{}, err
	}
	if err := in.Scope.Validate(); err != nil {
		return bctrl.SecretsImported{}, err
	}
	entries, err := parseLines(in.Text)
	if err != nil {
		return bctrl.SecretsImported{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.SecretsImported, error) {
		out := bctrl.SecretsImported{Skipped: []string{}}
		var made, rotated []Secret
		scope, err := web.StoredScope(ctx, tx.Queries, rq.Caller.Org, in.Scope)
		if err != nil {
			return out, err
		}
		web.SetEventScope(ev, scope)
		seen := map[string]bool{}
		for _, e := range entries {
			if e.Value == "" {
				out.Skipped = append(out.Skipped, e.Name)
				continue
			}
			sec, created, err := s.importSecret(ctx, tx, rq.Caller.Org, scope, e, *ev)
			if err != nil {
				return out, err
			}
			if seen[sec.row.ID] {
				return out, lineProblem(e.Line, "secrets.duplicate_name",
					"an earlier line has the same secret, perhaps by another of its names")
			}
			seen[sec.row.ID] = true
			one := *ev
			one.Object, one.Outcome = sec.row.ID, audit.OK
			if err := audit.Append(tx, one); err != nil {
				return out, err
			}
			if created {
				made = append(made, sec)
			} else {
				rotated = append(rotated, sec)
			}
		}
		// They are described last, since a credential may be made with the last secret.
		if out.Created, err = s.describeSecrets(ctx, tx.Queries, rq.Caller.Org, made); err != nil {
			return out, err
		}
		out.Rotated, err = s.describeSecrets(ctx, tx.Queries, rq.Caller.Org, rotated)
		return out, err
	})
}

// describeSecrets describes a list of secrets.
func (s *Service) describeSecrets(
	ctx context.Context, q store.Queries, org string, list []Secret,
) ([]bctrl.SecretInfo, error) {
	out := make([]bctrl.SecretInfo, len(list))
	for i, sec := range list {
		var err error
		if out[i], err = s.describeSecret(ctx, q, org, sec); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// importSecret replaces the value of the secret of a line's name, or creates one.
func (s *Service) importSecret(
	ctx context.Context, tx *store.Tx, org string, scope bctrl.Scope, e envfile.Entry, ev audit.Event,
) (sec Secret, created bool, err error) {
	row, err := tx.SecretByName(ctx, org, scope, e.Name)
	if errors.Is(err, store.ErrNotFound) {
		sec, err = s.insertSecret(ctx, tx, org, SecretMeta{Scope: scope, Name: e.Name}, wire.NewValue(e.Value), ev)
		return sec, true, err
	}
	if err != nil {
		return sec, false, err
	}
	if sec, err = s.OpenSecret(org, row); err != nil {
		return sec, false, err
	}
	sec.setValue(wire.NewValue(e.Value))
	return sec, false, s.updateSecretRow(ctx, tx, org, &sec)
}

// parseLines reads the lines of an import. It refuses them all where one cannot be a
// secret.
func parseLines(text wire.Value) ([]envfile.Entry, error) {
	entries, err := envfile.Parse(text.Reveal())
	if e, ok := errors.AsType[*envfile.Error](err); ok {
		return nil, lineProblem(e.Line, "secrets.malformed_line", e.Reason)
	}
	if err != nil {
		return nil, err
	}
	if len(entries) > maxImport {
		return nil, web.Invalid("request.too_long", "text",
			"text has more than "+strconv.Itoa(maxImport)+" lines with a name")
	}
	names := map[string]bool{}
	for _, e := range entries {
		switch {
		case bctrl.ValidSecretName(e.Name) != nil:
			return nil, lineProblem(e.Line, "secrets.invalid_name", web.AsError(bctrl.ValidSecretName(e.Name)).Message)
		case len(e.Value) > maxSecretValue:
			return nil, lineProblem(e.Line, "request.too_long",
				"the value is over its limit of "+strconv.Itoa(maxSecretValue))
		case names[e.Name]:
			return nil, lineProblem(e.Line, "secrets.duplicate_name", "an earlier line has the same name")
		}
		names[e.Name] = true
	}
	return entries, nil
}

// lineProblem refuses a line by its number, never by its text.
func lineProblem(line int, code, message string) error {
	return web.Invalid(code, "text", "line "+strconv.Itoa(line)+": "+message)
}
