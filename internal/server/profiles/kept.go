package profiles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/lockbox"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The files of a profile's folder that are not its browsers': their data are numbered.
const (
	// keyFile is the key of the profile, sealed under the server's. Its lock closes
	// everything else, which therefore goes on while the server is locked.
	keyFile = "key"
	// cookiesFile has the cookies, closed by that lock.
	cookiesFile = "cookies"
	// unfinished ends the names of files that are being written.
	unfinished = ".new"
)

// cookiesPurpose is what the box of the cookies is for.
const cookiesPurpose = "profile cookies"

// Kept is what a profile has kept, for the browser that is launched with it.
type Kept struct {
	// Dir is where the browser's data are.
	Dir string
	Key lockbox.Key
	// Cookies are those of the last browser, as they were at its end, or were imported.
	Cookies []wire.Cookie
	// KeepCookies replaces them. It needs no key of the server.
	KeepCookies func([]wire.Cookie) error
}

// Open returns what a profile has kept. The row of the runtime that is to use it has been
// written: whatever is imported from then on is refused.
func (s *Service) Open(ctx context.Context, org, uid string) (Kept, error) {
	folder, err := s.openFolder(uid)
	if err != nil {
		return Kept{}, err
	}
	defer folder.Close()
	key, cookies, err := s.read(ctx, folder, org, uid)
	if err != nil {
		return Kept{}, err
	}
	return Kept{
		Dir:         s.Folder(uid),
		Key:         key,
		Cookies:     cookies,
		KeepCookies: s.keeper(uid, key.Lock()),
	}, nil
}

// read reads the key of a profile, which it makes where there is none yet, and its cookies.
func (s *Service) read(
	ctx context.Context, folder *os.Root, org, uid string,
) (lockbox.Key, []wire.Cookie, error) {
	unlock, err := s.files.lock(ctx, uid)
	if err != nil {
		return lockbox.Key{}, nil, err
	}
	defer unlock()
	key, err := s.keyIn(folder, org, uid)
	if err != nil {
		return key, nil, err
	}
	cookies, err := readCookies(folder, key)
	return key, cookies, err
}

// Saved notes that a live runtime has saved a profile, and says what it has kept.
func (s *Service) Saved(ctx context.Context, org, uid string) (out bctrl.ProfileSaved, err error) {
	out.SavedAt = store.Now()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		p, err := tx.ProfileByUID(ctx, org, uid)
		if err != nil {
			return err
		}
		out.ProfileID, p.UpdatedAt = p.ID, out.SavedAt
		return tx.UpdateProfile(ctx, org, p)
	})
	if err != nil {
		return out, err
	}
	cookies, err := s.cookiesOf(ctx, org, uid)
	if err != nil {
		return out, err
	}
	out.Cookies = len(cookies)
	out.SizeBytes, err = folderSize(s.Folder(uid))
	return out, err
}

// keeper returns what writes the cookies of one live browser, which calls it again soon
// where it cannot. The first time that it cannot is logged.
func (s *Service) keeper(uid string, lock lockbox.Lock) func([]wire.Cookie) error {
	failed := false
	return func(all []wire.Cookie) error {
		folder, err := os.OpenRoot(s.Folder(uid))
		if err == nil {
			err = errors.Join(writeCookies(folder, lock, all), folder.Close())
		}
		if err != nil && !failed {
			s.Log.Error("cookies of a browser profile were not kept", "profile", uid, "error", err)
		}
		failed = err != nil
		return err
	}
}

// openFolder opens the folder of a profile, which it makes where there is none.
func (s *Service) openFolder(uid string) (*os.Root, error) {
	if err := os.MkdirAll(s.Folder(uid), 0o700); err != nil {
		return nil, fmt.Errorf("make the profile: %w", err)
	}
	folder, err := os.OpenRoot(s.Folder(uid))
	if err != nil {
		return nil, fmt.Errorf("open the profile: %w", err)
	}
	return folder, nil
}

// ErrTampered is the refusal of a profile whose files were changed outside the server.
func ErrTampered() *bctrl.Error {
	return web.WithHint(
		web.Fault("profiles.tampered", "what the browser profile keeps was changed outside the server and is not used"),
		"look who can write to the data directory; an import of cookies that replaces them mends those, "+
			"for anything else delete the profile",
	)
}

// keyRecord is what the key of a profile is sealed as.
func keyRecord(org, uid string) seal.Record {
	return seal.Record{Kind: "profile", UID: uid, Scope: org, Version: 1}
}

// keyIn reads the key of a profile. Where it has none yet, it makes one.
func (s *Service) keyIn(folder *os.Root, org, uid string) (lockbox.Key, error) {
	sealed, err := folder.ReadFile(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := lockbox.NewKey()
		if err != nil {
			return key, err
		}
		return key, s.writeKey(folder, key, org, uid)
	}
	if err != nil {
		return lockbox.Key{}, fmt.Errorf("read the profile's key: %w", err)
	}
	raw, err := s.Keys.Open(keyRecord(org, uid), sealed)
	if errors.Is(err, seal.ErrTampered) {
		return lockbox.Key{}, ErrTampered()
	}
	if err != nil {
		return lockbox.Key{}, err
	}
	defer clear(raw)
	key, err := lockbox.ParseKey(raw)
	if err != nil {
		return key, ErrTampered()
	}
	return key, nil
}

// writeKey seals the key of a profile, and keeps it.
func (s *Service) writeKey(folder *os.Root, key lockbox.Key, org, uid string) error {
	raw, err := key.Bytes()
	if err != nil {
		return err
	}
	defer clear(raw)
	sealed, err := s.Keys.Seal(keyRecord(org, uid), raw)
	if err != nil {
		return err
	}
	return writeFile(folder, keyFile, func(w io.Writer) error {
		_, err := w.Write(sealed)
		return err
	})
}

// readCookies reads the cookies of a profile; nil is none.
func readCookies(folder *os.Root, key lockbox.Key) (all []wire.Cookie, err error) {
	f, err := folder.Open(cookiesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the profile's cookies: %w", err)
	}
	defer f.Close()
	box, err := key.Open(f, cookiesPurpose)
	var text []byte
	if err == nil {
		text, err = io.ReadAll(box)
	}
	defer func() { clear(text) }()
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, damaged(fmt.Errorf("read the profile's cookies: %w", err))
	}
	return all, nil
}

// damaged is the refusal of a box that is not as it was closed; any other error comes
// back as it is.
func damaged(err error) error {
	if errors.Is(err, lockbox.ErrDamaged) {
		return ErrTampered()
	}
	return err
}

func writeCookies(folder *os.Root, lock lockbox.Lock, all []wire.Cookie) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	defer clear(text)
	return writeFile(folder, cookiesFile, func(w io.Writer) error {
		box, err := lock.Close(w, cookiesPurpose)
		if err != nil {
			return err
		}
		_, err = box.Write(text)
		return errors.Join(err, box.Close())
	})
}

// writeFile writes a file that is whole at any moment, and durable when it returns.
func writeFile(folder *os.Root, name string, write func(io.Writer) error) error {
	f, err := folder.OpenFile(name+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		if err = write(f); err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = folder.Rename(name+unfinished, name)
	}
	if err == nil {
		var names *os.File
		if names, err = folder.Open("."); err == nil {
			err = errors.Join(names.Sync(), names.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("write the profile's %s: %w", name, err)
	}
	return nil
}
