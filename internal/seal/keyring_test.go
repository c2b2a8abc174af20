package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/davecgh/go-spew/spew"
	"github.com/stretchr/testify/require"
)

func TestASecondServerOpensWhatTheFirstSealed(t *testing.T) {
	store := newMemory()
	first := NewKeyring(testKey(t, 1), store)
	require.NoError(t, first.Ensure(t.Context(), "org"))
	sealed, err := first.Seal(sample, []byte("hunter2"))
	require.NoError(t, err)

	second := NewKeyring(testKey(t, 1), store)
	require.NoError(t, second.Ensure(t.Context(), "org"))
	opened, err := second.Open(sample, sealed)
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(opened))
	require.Equal(t, 1, store.creates)
}

func TestTheLoserOfACreationRaceUsesTheStoredKey(t *testing.T) {
	store := newMemory()
	winner, err := testKey(t, 1).newDEK("org")
	require.NoError(t, err)
	late := &raced{memory: store, winner: winner}
	loser := NewKeyring(testKey(t, 1), late)
	require.NoError(t, loser.Ensure(t.Context(), "org"))
	sealed, err := loser.Seal(sample, []byte("hunter2"))
	require.NoError(t, err)

	other := NewKeyring(testKey(t, 1), store)
	require.NoError(t, other.Ensure(t.Context(), "org"))
	_, err = other.Open(sample, sealed)
	require.NoError(t, err)
}

// raced lets another server create the data key between look and creation.
type raced struct {
	*memory
	winner WrappedDEK
}

func (r *raced) CreateDEK(ctx context.Context, dek WrappedDEK) (WrappedDEK, error) {
	r.rows["org"] = r.winner
	return r.memory.CreateDEK(ctx, dek)
}

func TestManyCallersCreateOneDataKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		store.gate = make(chan struct{})
		k := NewKeyring(testKey(t, 1), store)
		for i := range 64 {
			go func() {
				if err := k.Ensure(t.Context(), "org"); err != nil {
					t.Error(err)
					return
				}
				sealed, err := k.Seal(sample, []byte{byte(i)})
				if err != nil {
					t.Error(err)
					return
				}
				opened, err := k.Open(sample, sealed)
				if err != nil || opened[0] != byte(i) {
					t.Error("round trip failed", err)
				}
			}()
		}
		synctest.Wait() // all of them wait, for the store or for their turn
		close(store.gate)
		synctest.Wait()
		require.Equal(t, 1, store.reads)
		require.Equal(t, 1, store.creates)
	})
}

func TestAWaiterThatGivesUpTakesNobodyWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		store.gate = make(chan struct{})
		k := NewKeyring(testKey(t, 1), store)
		impatient, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		go func() { results <- k.Ensure(impatient, "org") }() // holds the turn
		synctest.Wait()
		go func() { results <- k.Ensure(t.Context(), "org") }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-results, context.Canceled)
		close(store.gate)
		require.NoError(t, <-results)
	})
}

func TestSealAndOpenNeverTouchTheStore(t *testing.T) {
	store := newMemory()
	k := NewKeyring(testKey(t, 1), store)
	_, err := k.Seal(sample, nil)
	require.ErrorIs(t, err, ErrNotEnsured)
	_, err = k.Open(sample, nil)
	require.ErrorIs(t, err, ErrNotEnsured)
	require.Zero(t, store.reads)

	require.NoError(t, k.Ensure(t.Context(), "org"))
	store.err = errors.New("the store is gone")
	sealed, err := k.Seal(sample, nil)
	require.NoError(t, err)
	_, err = k.Open(sample, sealed)
	require.NoError(t, err)
	require.NoError(t, k.Ensure(t.Context(), "org"), "a loaded scope needs no store")
}

func TestAFailedLoadIsTriedAgain(t *testing.T) {
	store := newMemory()
	store.err = errors.New("database is locked")
	k := NewKeyring(testKey(t, 1), store)
	require.ErrorIs(t, k.Ensure(t.Context(), "org"), store.err)
	store.err = nil
	require.NoError(t, k.Ensure(t.Context(), "org"))
}

func TestAWrongKeyIsNamedAsSuch(t *testing.T) {
	store := newMemory()
	right, wrong := testKey(t, 1), testKey(t, 2)
	require.NoError(t, NewKeyring(right, store).Ensure(t.Context(), "org"))
	err := NewKeyring(wrong, store).Ensure(t.Context(), "org")
	require.ErrorIs(t, err, ErrWrongKey)
	require.ErrorContains(t, err, right.ID())
	require.ErrorContains(t, err, wrong.ID())
}

func TestAChangedDataKeyRowIsFound(t *testing.T) {
	for why, change := range map[string]func(*WrappedDEK){
		"another id":        func(d *WrappedDEK) { d.ID = "5b7a4f8e-0f6c-4f0e-9d55-4bb8a1f2f001" },
		"no id":             func(d *WrappedDEK) { d.ID = "" },
		"another scope":     func(d *WrappedDEK) { d.Scope = "other" },
		"a flipped bit":     func(d *WrappedDEK) { d.Sealed[20] ^= 1 },
		"cut short":         func(d *WrappedDEK) { d.Sealed = d.Sealed[:10] },
		"nothing at all":    func(d *WrappedDEK) { d.Sealed = nil },
		"one byte too long": func(d *WrappedDEK) { d.Sealed = append(d.Sealed, 0) },
	} {
		store := newMemory()
		require.NoError(t, NewKeyring(testKey(t, 1), store).Ensure(t.Context(), "org"))
		row := store.rows["org"]
		change(&row)
		store.rows["org"] = row
		require.ErrorIs(t, NewKeyring(testKey(t, 1), store).Ensure(t.Context(), "org"), ErrTampered, why)
	}

	// A row moved to another scope's place keeps its own name and is found too.
	store := newMemory()
	k := NewKeyring(testKey(t, 1), store)
	require.NoError(t, k.Ensure(t.Context(), "org"))
	row := store.rows["org"]
	row.Scope = "victim"
	store.rows["victim"] = row
	require.ErrorIs(t, k.Ensure(t.Context(), "victim"), ErrTampered)
	row.Scope = "org" // whole, but an answer to another question
	store.rows["victim"] = row
	require.ErrorIs(t, k.Ensure(t.Context(), "victim"), ErrTampered)
}

func TestScopesDoNotShareAKey(t *testing.T) {
	k := NewKeyring(testKey(t, 1), newMemory())
	require.NoError(t, k.Ensure(t.Context(), "a"))
	require.NoError(t, k.Ensure(t.Context(), "b"))
	r := Record{Kind: "vault", UID: "u", Scope: "a"}
	sealed, err := k.Seal(r, []byte("hunter2"))
	require.NoError(t, err)
	r.Scope = "b"
	_, err = k.Open(r, sealed)
	require.ErrorIs(t, err, ErrTampered)
}

func TestNothingIsDoneWithoutAKeyOrAScope(t *testing.T) {
	require.ErrorIs(t, NewKeyring(Key{}, newMemory()).Ensure(t.Context(), "org"), ErrLocked)
	require.Error(t, NewKeyring(testKey(t, 1), newMemory()).Ensure(t.Context(), ""))
}

func TestNoPrinterShowsAKey(t *testing.T) {
	store := newMemory()
	key := testKey(t, 1)
	k := NewKeyring(key, store)
	require.NoError(t, k.Ensure(t.Context(), "org"))
	dek, err := k.loaded("org")
	require.NoError(t, err)

	var out bytes.Buffer
	for _, v := range []any{key, &key, k, dek, *dek} {
		fmt.Fprintf(&out, "%v %+v %#v %x %s ", v, v, v, v, v)
		spew.Fdump(&out, v)
	}
	text := bytes.ToLower(out.Bytes())
	for _, secret := range [][]byte{bytes.Repeat([]byte{1}, 4), dek.prk()} {
		for _, form := range []string{
			fmt.Sprintf("%x", secret[:4]), fmt.Sprintf("% x", secret[:4]), fmt.Sprint(secret[:4])[1:8],
			fmt.Sprintf("%#x", secret[:2]),
		} {
			require.False(t, bytes.Contains(text, []byte(form)), "a key was printed")
		}
	}
}
