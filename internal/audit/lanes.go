package audit

import (
	"bytes"
	"maps"
	"slices"

	"github.com/bctrl-go/bctrl/internal/store"
)

// lanes follow the chains of a log, event by event in the order of their numbers.
type lanes map[int64]*lane

// lane is where a chain stands.
type lane struct {
	store.Lane
	// unknown is set where events are missing, so that the hash of the next one cannot be checked.
	unknown bool
}

// lanesFrom begin where lanes stand.
func lanesFrom(stand []store.Lane) lanes {
	all := lanes{}
	for _, l := range stand {
		all[l.Number] = &lane{Lane: l}
	}
	return all
}

// step is what an event is in its lane.
type step struct {
	// missing is the number of the event that it follows, where that is not there, and after that of the
	// one before what is missing; else 0.
	missing, after int64
	// other is set where it does not follow from what is there.
	other bool
}

// next takes the next event.
func (all lanes) next(e store.StoredEntry) (s step) {
	if e.Lane < 0 || e.Lane >= store.Lanes {
		return step{other: true}
	}
	at := all[e.Lane]
	if at == nil {
		at = &lane{Lane: store.Lane{Number: e.Lane, Hash: store.ZeroHash()}}
		all[e.Lane] = at
	}
	if e.Previous > at.Seq {
		s.missing, s.after, at.unknown = e.Previous, at.Seq, true
	}
	s.other = e.Previous < at.Seq || !at.unknown && !bytes.Equal(store.NextHash(at.Hash, e.Entry), e.Hash)
	at.Seq, at.Hash, at.unknown = e.Seq, e.Hash, false
	return s
}

// head is the hash that stands for all of them.
func (all lanes) head() []byte {
	var stand []store.Lane
	for _, number := range slices.Sorted(maps.Keys(all)) {
		stand = append(stand, all[number].Lane)
	}
	return store.HeadOf(stand)
}
