package browser

import (
	"github.com/bctrl-go/bctrl/internal/lockbox"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Profile is what a browser with a profile is launched with. The browser works on a copy
// of its own. When it ends, stopped or crashed, its data becomes the newest of the profile.
//
// Cookies are not part of that data: a browser writes them to disk half a minute late, and
// those of a session never. It is given them, and tells of them as they change.
type Profile struct {
	// Dir is the directory that keeps the data. It is made when there is none and may be
	// closed to all but the server. One browser at a time has it.
	Dir string
	// Key opens what Dir has. Its lock closes what is put there, so that the key is not
	// needed once the browser has started, nor by who saves what a killed server left.
	Key lockbox.Key
	// Cookies are what the browser begins with.
	Cookies []wire.Cookie
	// OnCookies is told all cookies, those of the session too, within half a second after
	// they have changed, when the profile is saved, and before the browser ends by Stop.
	// It is called by one goroutine at a time, and not once the browser is done.
	OnCookies func([]wire.Cookie) error
}
