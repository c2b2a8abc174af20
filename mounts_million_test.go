package bctrl_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// chooser makes mounts out of the oracle's universe.
type chooser struct {
	*rand.Rand
	o *oracle
}

// list chooses up to longest entries, and once in 128 times many more: sets of
// prefixes are kept in another way then.
func (c chooser) list(from []string, longest int) []string {
	if c.IntN(128) == 0 {
		longest = 20
	}
	list := make([]string, c.IntN(longest+1))
	for i := range list {
		list[i] = from[c.IntN(len(from))]
	}
	return list
}

// maybe returns list, or nil once in four times.
func (c chooser) maybe(list []string) []string {
	if c.IntN(4) == 0 {
		return nil
	}
	return list
}

func (c chooser) complete() *bctrl.VaultMount {
	return &bctrl.VaultMount{
		Allow: c.list(c.o.prefixes, 3), Deny: c.list(c.o.prefixes, 2), AllowRawReads: new(c.IntN(2) == 0),
	}
}

func (c chooser) declared(parent *bctrl.VaultMount) *bctrl.VaultMount {
	v := &bctrl.VaultMount{Deny: c.maybe(c.list(c.o.prefixes, 2))}
	switch c.IntN(8) {
	case 0:
		return nil
	case 1, 2: // as the parent has it, which narrowing must accept
		v.Allow = slices.Clone(parent.Allow)
	default:
		v.Allow = c.maybe(c.list(c.o.prefixes, 3))
	}
	if c.IntN(3) > 0 {
		v.AllowRawReads = new(c.IntN(3) == 0)
	}
	return v
}

// TestNarrowNeverWidens narrows 100,000 times, a million at night,
// and asks the oracle for every key whether the outcome is right: accepted exactly
// when it should be, with what both levels permit and no key more, else refused
// with the first offending field and the smallest witness. One in eight times it
// asks for Covers and normal forms as well.
func TestNarrowNeverWidens(t *testing.T) {
	cases := int64(sample.Number(10, 1_000_000))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	o := newOracle()
	var left, accepted, refused atomic.Int64
	left.Store(cases)
	var group sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			c := chooser{rand.New(rand.NewPCG(seed, uint64(worker))), o}
			for left.Add(-1) >= 0 && !t.Failed() {
				parent := c.complete()
				if c.IntN(8) == 0 {
					checkCovers(t, o, parent, c.complete())
				}
				if checkNarrow(t, o, parent, c.declared(parent)) {
					accepted.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d accepted, %d refused", accepted.Load(), refused.Load())
	if !t.Failed() && (accepted.Load() < cases/4 || refused.Load() < cases/4) {
		t.Errorf("lopsided: %d accepted, %d refused", accepted.Load(), refused.Load())
	}
}

// checkCovers compares Covers with inclusion, for any two vault mounts and for
// two of which one is likely to cover the other, and normal forms with what they
// are the normal form of.
func checkCovers(t *testing.T, o *oracle, a, b *bctrl.VaultMount) {
	t.Helper()
	meet := bctrl.Chain{{Vault: a}, {Vault: b}}.Effective().Vault
	for _, pair := range [][2]*bctrl.VaultMount{{a, b}, {a, meet}, {meet, a}} {
		parentUse, parentRead := o.permits(pair[0])
		use, read := o.permits(pair[1])
		want := use.within(parentUse) && read.within(parentRead)
		if got := (bctrl.Mounts{Vault: pair[0]}).Covers(bctrl.Mounts{Vault: pair[1]}); got != want {
			t.Errorf("Covers is %v: parent %+v child %+v", got, pair[0], pair[1])
		}
		normal := bctrl.Mounts{Vault: pair[1]}.Normal().Vault
		if normalUse, normalRead := o.permits(normal); normalUse != use || normalRead != read {
			t.Errorf("the normal form of %+v is %+v", pair[1], normal)
		}
	}
}

// checkNarrow compares one narrowing with the oracle and reports whether it was
// accepted.
func checkNarrow(t *testing.T, o *oracle, parent, child *bctrl.VaultMount) bool {
	t.Helper()
	narrowed, err := bctrl.Mounts{Vault: parent}.Narrow(bctrl.Mounts{Vault: child})
	use, read, want := o.narrow(parent, child)
	if want != nil {
		var got *bctrl.Error
		if !errors.As(err, &got) || (refusal{got.Code, got.Field, got.Witness}) != *want {
			t.Errorf("parent %+v child %+v: got %v, want refusal %+v", parent, child, err, *want)
		}
		return false
	}
	if err != nil {
		t.Errorf("parent %+v child %+v: refused: %v", parent, child, err)
		return false
	}
	gotUse, gotRead := o.permits(narrowed.Vault)
	parentUse, parentRead := o.permits(parent)
	if gotUse != use || gotRead != read || !gotUse.within(parentUse) || !gotRead.within(parentRead) {
		t.Errorf("parent %+v child %+v: wrong outcome %+v", parent, child, narrowed.Vault)
	}
	return true
}
