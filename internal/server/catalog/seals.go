package catalog

import (
	"errors"
	"strconv"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// sealOf is the seal over fields, each after its length in decimal, of a record
// without a secret. [seal.Record] says why it is not that of package tuple.
func sealOf(kind, org, uid string, version int64, fields ...string) seal.Record {
	var meta []byte
	for _, f := range fields {
		meta = strconv.AppendInt(meta, int64(len(f)), 10)
		meta = append(append(meta, ':'), f...)
	}
	return seal.Record{
		Kind:    kind,
		UID:     uid,
		Scope:   org,
		Version: version,
		Meta:    meta,
	}
}

// verifyRecord checks the seal of a record without a secret.
func (s *Service) verifyRecord(r seal.Record, sealed []byte, code string) error {
	_, err := s.Keys.Open(r, sealed)
	if errors.Is(err, seal.ErrTampered) {
		return web.Tampered(code)
	}
	return err
}

// recordFurther records one more record that a request wrote.
func recordFurther(tx *store.Tx, ev audit.Event, object string) error {
	ev.Object, ev.Outcome = object, audit.OK
	return audit.Append(tx, ev)
}
