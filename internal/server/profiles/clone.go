package profiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxCopyTries is how often a copy begins again because a browser has saved the profile
// meanwhile.
const maxCopyTries = 5

// cloneProfile makes a profile with what another has kept. The folder is copied before
// the row is there: one that a crash leaves is nobody's, and the next server removes it.
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
	source, err := s.DB.Read().Profile(ctx, rq.Caller.Org, from)
	if errors.Is(err, store.ErrNotFound) {
		return out, ErrNotFound()
	}
	if err != nil {
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
	if err := s.copyFolder(source.UID, p.UID); err != nil {
		s.RemoveFolder(p.UID)
		return out, err
	}
	size, err := folderSize(s.Folder(p.UID))
	if err == nil {
		out, err = s.insert(ctx, rq, p, size)
	}
	if err != nil {
		s.RemoveFolder(p.UID)
	}
	return out, err
}

// copyFolder copies the newest data of a profile to a new one's folder. Where none was
// saved yet there is nothing to copy.
func (s *Service) copyFolder(from, to string) (err error) {
	for range maxCopyTries {
		newest, err := newestData(s.Folder(from))
		if err != nil || newest == "" {
			return err
		}
		if err = copyData(filepath.Join(s.Folder(from), newest), s.Folder(to)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(s.Folder(to)); err != nil { // a newer one has taken its place
			return err
		}
	}
	return errors.New("the profile is saved again and again")
}

// newestData is the name of the folder with a profile's newest data, the highest number
// that there is; empty is none.
func newestData(folder string) (newest string, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	most := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() && n > most {
			most, newest = n, e.Name()
		}
	}
	return newest, nil
}

// copyData copies data into a new folder, as its first.
func copyData(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil { // closed to others, whatever is in it
		return err
	}
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := os.CopyFS(filepath.Join(to, "1"), root.FS()); err != nil {
		return fmt.Errorf("copy the profile: %w", err)
	}
	return nil
}
