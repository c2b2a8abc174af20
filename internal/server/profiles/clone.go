package profiles

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/lockbox"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxCopyTries is how often a copy begins again because a browser has saved the profile
// meanwhile.
const maxCopyTries = 5

// cloneProfile makes a profile with what another has kept. The folder is copied before
// the row is there: one that a crash leaves is nobody's, and the next server removes it; one of
// which the database did not say whether it has the row, the next clone, or this node within a minute.
func (s *Service) cloneProfile(
	ctx context.Context, rq *web.Request, in bctrl.BrowserProfileCreate,
) (out bctrl.BrowserProfile, err error) {
	from, err := s.authorizedID(rq)
	if err != nil {
		return out, err
	}
	if err := validProfileID(in.ID); err != nil {
		return out, err
	}
	if err := rq.Authorize(in.ID); err != nil {
		return out, err
	}
	if err := web.CheckLabel(in.Label); err != nil {
		return out, err
	}
	unlock, err := s.cloning.lock(ctx, rq.Caller.Org)
	if err != nil {
		return out, err
	}
	defer unlock()
	source, err := s.DB.Read().Profile(ctx, rq.Caller.Org, from)
	if errors.Is(err, store.ErrNotFound) {
		return out, ErrNotFound()
	}
	if err != nil {
		return out, err
	}
	if err := s.requireHere(ctx, s.DB.Read(), rq.Caller.Org, source.UID); err != nil {
		return out, err
	}
	switch _, err := s.DB.Read().Profile(ctx, rq.Caller.Org, in.ID); { // before a copy of up to a gigabyte
	case err == nil:
		return out, errExists()
	case !errors.Is(err, store.ErrNotFound):
		return out, err
	}
	if err := s.RemoveUnmade(ctx); err != nil { // lest each attempt leaves a copy
		return out, err
	}
	now := store.Now()
	p := store.Profile{
		ID:        in.ID,
		UID:       web.NewID(),
		Label:     in.Label,
		CreatedAt: now,
		UpdatedAt: now,
	}
	if err := s.copyFolder(ctx, rq.Caller.Org, source.UID, p.UID); err != nil {
		s.RemoveFolder(p.UID)
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotFound() // it was deleted meanwhile
		}
		return out, err
	}
	size, err := folderSize(s.Folder(p.UID))
	if err == nil {
		out, err = s.insert(ctx, rq, p, size)
	}
	switch {
	case errors.Is(err, store.ErrUnavailable): // the row may be there
		s.Doubt(p.UID)
	case err != nil:
		s.RemoveFolder(p.UID)
	}
	return out, err
}

// copyFolder copies the newest data of a profile to a new one's folder, and its cookies,
// under a key of the new one's own: whoever exchanges files of the two changes both. What
// has no key was never used: there is nothing to copy.
func (s *Service) copyFolder(ctx context.Context, org, from, to string) error {
	source, err := os.OpenRoot(s.Folder(from))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer source.Close()
	if _, err := source.Lstat(keyFile); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	key, cookies, err := s.read(ctx, source, org, from)
	if err != nil {
		return err
	}
	folder, err := s.openFolder(to)
	if err != nil {
		return err
	}
	defer folder.Close()
	own, err := s.keyIn(folder, org, to)
	if err != nil {
		return err
	}
	if err := writeCookies(folder, own.Lock(), cookies); err != nil {
		return err
	}
	return copyNewest(ctx, source, folder, key, own.Lock())
}

// copyNewest copies the newest data of a profile as the first of another, from the box of
// the one's key into one of the other's lock.
func copyNewest(ctx context.Context, from, to *os.Root, key lockbox.Key, lock lockbox.Lock) error {
	for range maxCopyTries {
		newest, err := newestData(from)
		if err != nil || newest == "" {
			return err
		}
		data, err := from.Open(newest)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a newer one has taken its place
		}
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = data.Close() }) // nobody waits for the rest
		err = writeFile(to, "1", func(w io.Writer) error { return rebox(w, data, key, lock) })
		if stop() {
			err = errors.Join(err, data.Close())
		}
		return cmp.Or(ctx.Err(), err)
	}
	return errors.New("the profile is saved again and again")
}

// rebox copies data of a profile from one box to another.
func rebox(to io.Writer, from io.Reader, key lockbox.Key, lock lockbox.Lock) error {
	data, err := key.Open(from, lockbox.ProfileData)
	if err != nil {
		return damaged(err)
	}
	box, err := lock.Close(to, lockbox.ProfileData)
	if err != nil {
		return err
	}
	if _, err := io.Copy(box, data); err != nil {
		return damaged(err)
	}
	return box.Close()
}

// newestData is the name of a profile's newest data, the highest number that there is;
// empty is none.
func newestData(folder *os.Root) (newest string, err error) {
	entries, err := fs.ReadDir(folder.FS(), ".")
	if err != nil {
		return "", err
	}
	most := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.Type().IsRegular() && n > most {
			most, newest = n, e.Name()
		}
	}
	return newest, nil
}
