package catalog

import (
	"errors"
	"strconv"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// sealOf is what is sealed of a record without a secret: its fields, each after its
// length in decimal. [seal.Record] says why the encoding is not that of package tuple.
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

// verifyRecord checks the seal of a record without a secret, and returns an error
// with the code where it does not match.
func (s *Service) verifyRecord(r seal.Record, sealed []byte, code string) error {
	_, err := s.Keys.Open(r, sealed)
	if errors.Is(err, seal.ErrTampered) {
		return web.Tampered(code)
	}
	return err
}

// recordFurther appends an event like ev for one more object that a request changed.
func recordFurther(tx *store.Tx, ev audit.Event, object string) error {
	ev.Object, ev.Outcome = object, audit.OK
	return audit.Append(tx, ev)
}
