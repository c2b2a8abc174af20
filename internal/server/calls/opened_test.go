package calls

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
)

// keptIn returns how many of n clients are kept.
func keptIn(o *opened, keys []clientKey) (n int) {
	for _, key := range keys {
		if c, _ := o.get(key); c != nil {
			n++
		}
	}
	return n
}

func manyKeys(n int) (keys []clientKey) {
	for range n {
		keys = append(keys, clientKey{with: new(Resolution)})
	}
	return keys
}

func TestWhatWasOpenedIsGoneInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o opened
		keys := manyKeys(2)
		_, round := o.get(keys[0])
		o.keep(keys[0], new(broker.Client), round)
		synctest.Wait()
		require.Equal(t, 1, keptIn(&o, keys))
		<-time.After(keptOpen / 2)
		synctest.Wait()
		o.keep(keys[1], new(broker.Client), round)
		require.Equal(t, 2, keptIn(&o, keys))
		<-time.After(keptOpen / 2)
		synctest.Wait()
		require.Zero(t, keptIn(&o, keys), "however often and late it was used")
		_, round = o.get(keys[0])
		o.keep(keys[0], new(broker.Client), round)
		<-time.After(keptOpen)
		synctest.Wait()
		require.Zero(t, keptIn(&o, keys))
	})
}

func TestWhatWasOpenedBeforeALockIsNotKeptAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o opened
		key := manyKeys(1)[0]
		_, before := o.get(key)
		o.forget()
		o.keep(key, new(broker.Client), before)
		require.Zero(t, keptIn(&o, []clientKey{key}), "a call opens its secrets while the server is locked")
		_, after := o.get(key)
		o.keep(key, new(broker.Client), after)
		o.forget()
		require.Zero(t, keptIn(&o, []clientKey{key}))
		<-time.After(keptOpen)
		synctest.Wait()
	})
}

func TestFewOfWhatWasOpenedAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o opened
		keys := manyKeys(2 * maxOpened)
		for _, key := range keys {
			_, round := o.get(key)
			o.keep(key, new(broker.Client), round)
		}
		require.Equal(t, maxOpened, keptIn(&o, keys))
		<-time.After(keptOpen)
		synctest.Wait()
	})
}

// TestWhatIsKeptElsewhereIsNotKeptTwice: access tokens and certificates are the broker's
// to keep and to forget.
func TestWhatIsKeptElsewhereIsNotKeptTwice(t *testing.T) {
	for _, of := range []bctrl.AuthType{bctrl.AuthOAuth2, bctrl.AuthMTLS} {
		require.False(t, isKept(bctrl.CredentialAuth{Type: of}))
	}
	require.True(t, isKept(bctrl.CredentialAuth{Type: bctrl.AuthHeader}))
}

func TestWhatIsRememberedIsOfOneGenerationAndBounded(t *testing.T) {
	var r remembered[int, string]
	r.put(1, 7, "seven")
	v, ok := r.get(1, 7)
	require.True(t, ok)
	require.Equal(t, "seven", v)
	_, ok = r.get(2, 7)
	require.False(t, ok, "of another generation")
	r.put(2, 8, "eight")
	_, ok = r.get(1, 7)
	require.False(t, ok, "of a generation that is over")
	for i := range 3 * maxRemembered {
		r.put(2, i, "")
		require.LessOrEqual(t, len(r.values), maxRemembered)
	}
	r.forget()
	require.Empty(t, r.values)
}
