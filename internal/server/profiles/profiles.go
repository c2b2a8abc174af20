package profiles

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Routes are all of the area.
func (s *Service) Routes() []web.Route {
	importing := web.Endpoint("POST /v1/browser-profiles/{id}/cookies/import", access.ProfileWrite, s.importCookies)
	importing.MaxBody = maxImport
	return append(
		web.On(
			s.atProfile(),
			web.Endpoint("POST /v1/browser-profiles/{id}/clone", access.ProfileWrite, s.cloneProfile),
			web.Endpoint("POST /v1/browser-profiles/{id}/cookies/export", access.ProfileExport, s.exportCookies),
			importing,
		),
		web.Endpoint("POST /v1/browser-profiles", access.ProfileWrite, s.createProfile).On(web.AnyNode()),
		// A list asks other nodes for the sizes of those on their disks.
		web.Endpoint("GET /v1/browser-profiles", access.ProfileRead, s.listProfiles, "limit", "cursor").On(web.AnyNode()),
		web.Endpoint("GET /v1/browser-profiles/{id}", access.ProfileRead, s.getProfile).On(s.atProfile().OrHere()),
		web.Endpoint("PATCH /v1/browser-profiles/{id}", access.ProfileWrite, s.updateProfile).On(s.atProfile()),
		// A folder on a disk that is not there is removed when it is there again.
		web.Endpoint("DELETE /v1/browser-profiles/{id}", access.ProfileWrite, s.deleteProfile).On(s.atProfile()),
	)
}

// ErrNotFound is the refusal of a browser profile that the organization does not have.
func ErrNotFound() *bctrl.Error {
	return web.NotFound("profiles.not_found", "there is no such browser profile")
}

// ErrInUse is the refusal of a browser profile that a live runtime uses, which it names.
func ErrInUse(by store.Runtime) *bctrl.Error {
	return web.WithHint(
		web.Conflict("profiles.in_use", "the live runtime "+by.Alias+" ("+by.ID+") uses this browser profile"),
		"one runtime at a time uses a profile: stop that one, or clone the profile",
	)
}

func validProfileID(id string) error {
	return web.InvalidName("profiles.invalid_id", "id", names.Name(id))
}

func (s *Service) createProfile(
	ctx context.Context, rq *web.Request, in bctrl.BrowserProfileCreate,
) (out bctrl.BrowserProfile, err error) {
	if err := validProfileID(in.ID); err != nil {
		return out, err
	}
	if err := rq.Authorize(in.ID); err != nil {
		return out, err
	}
	if err := web.CheckLabel(in.Label); err != nil {
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
	return s.insert(ctx, rq, p, 0)
}

// insert keeps a new profile whose data is so large.
func (s *Service) insert(
	ctx context.Context, rq *web.Request, p store.Profile, size int64,
) (bctrl.BrowserProfile, error) {
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.BrowserProfile, error) {
		ev.UID = p.UID
		err := tx.InsertProfile(ctx, rq.Caller.Org, p)
		if errors.Is(err, store.ErrExists) {
			err = errExists()
		}
		if err == nil && size > 0 {
			err = s.claim(ctx, tx, rq.Caller.Org, p.UID)
		}
		return bctrl.BrowserProfile{
			ID:        p.ID,
			Label:     p.Label,
			SizeBytes: size,
			CreatedAt: p.CreatedAt,
			UpdatedAt: p.UpdatedAt,
		}, err
	})
}

func errExists() *bctrl.Error {
	return web.Conflict("profiles.exists", "there is a browser profile with this id")
}

func (s *Service) listProfiles(
	ctx context.Context, rq *web.Request, _ web.None,
) (wire.List[bctrl.BrowserProfile], error) {
	var elsewhere map[string]int64
	return web.Listing[store.Profile, bctrl.BrowserProfile]{
		Plural: wire.BrowserProfiles,
		Rows: func(after string, limit int) (rows []store.Profile, err error) {
			if rows, err = s.DB.Read().Profiles(ctx, rq.Caller.Org, after, limit); err == nil {
				elsewhere, err = s.sizesElsewhere(ctx, rq.Caller.Org, rows)
			}
			return rows, err
		},
		Cursor: func(p store.Profile) string { return p.ID },
		Describe: func(p store.Profile) (bctrl.BrowserProfile, error) {
			out, err := s.describeProfile(ctx, rq.Caller.Org, p)
			if size, is := elsewhere[p.UID]; is {
				out.SizeBytes = size
			}
			return out, err
		},
	}.Page(rq)
}

func (s *Service) getProfile(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.BrowserProfile, err error) {
	id, err := s.authorizedID(rq)
	if err != nil {
		return out, err
	}
	return s.readProfile(ctx, rq.Caller.Org, id)
}

func (s *Service) readProfile(ctx context.Context, org, id string) (out bctrl.BrowserProfile, err error) {
	p, err := s.DB.Read().Profile(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return out, ErrNotFound()
	}
	if err != nil {
		return out, err
	}
	return s.describeProfile(ctx, org, p)
}

// authorizedID is the id that the path names, once the request is authorised for it.
func (s *Service) authorizedID(rq *web.Request) (string, error) {
	id, err := rq.Path("id", validProfileID)
	if err != nil {
		return "", err
	}
	return id, rq.Authorize(id)
}

// describeProfile describes a profile, with the runtime that uses it and the size of
// its folder. That may take long: it is not for use in a transaction.
func (s *Service) describeProfile(ctx context.Context, org string, p store.Profile) (bctrl.BrowserProfile, error) {
	out := bctrl.BrowserProfile{
		ID:        p.ID,
		Label:     p.Label,
		CreatedAt: p.CreatedAt,
		UpdatedAt: p.UpdatedAt,
	}
	rt, err := s.DB.Read().RuntimeUsingProfile(ctx, org, p.UID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return out, err
	}
	out.RuntimeID = rt.ID
	out.SizeBytes, err = folderSize(s.Folder(p.UID))
	return out, err
}

// folderSize is the size in bytes of the files below a folder. Those that are removed
// meanwhile count nothing, nor does a folder that is not there. Links are not followed.
func folderSize(path string) (total int64, err error) {
	err = fs.WalkDir(os.DirFS(path), ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}

func (s *Service) updateProfile(
	ctx context.Context, rq *web.Request, in bctrl.BrowserProfileUpdate,
) (out bctrl.BrowserProfile, err error) {
	id, err := s.authorizedID(rq)
	if err != nil {
		return out, err
	}
	if in.Label != nil {
		if err := web.CheckLabel(*in.Label); err != nil {
			return out, err
		}
	}
	out, err = s.readProfile(ctx, rq.Caller.Org, id)
	if err != nil {
		return out, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.BrowserProfile, error) {
		p, err := tx.Profile(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return out, ErrNotFound()
		}
		if err != nil {
			return out, err
		}
		ev.UID = p.UID
		web.SetIfGiven(&p.Label, in.Label)
		p.UpdatedAt = store.Now()
		out.Label, out.UpdatedAt = p.Label, p.UpdatedAt
		return out, tx.UpdateProfile(ctx, rq.Caller.Org, p)
	})
}

// deleteProfile removes a profile, then its folder: once the row is gone no runtime
// can be launched with it. A folder that a crash leaves is removed by the next server.
func (s *Service) deleteProfile(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	id, err := s.authorizedID(rq)
	if err != nil {
		return web.None{}, err
	}
	var uid string
	_, err = web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		p, err := tx.Profile(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, ErrNotFound()
		}
		if err != nil {
			return web.None{}, err
		}
		ev.UID, uid = p.UID, p.UID
		switch by, err := tx.RuntimeUsingProfile(ctx, rq.Caller.Org, p.UID); {
		case err == nil:
			return web.None{}, ErrInUse(by)
		case !errors.Is(err, store.ErrNotFound):
			return web.None{}, err
		}
		return web.None{}, tx.DeleteProfile(ctx, rq.Caller.Org, p.UID)
	})
	if errors.Is(err, store.ErrUnavailable) && uid != "" {
		s.Doubt(uid)
	}
	if err != nil {
		return web.None{}, err
	}
	s.RemoveFolder(uid)
	return web.None{}, nil
}

// Ensure returns the profile with an id in the caller's organization. Where there is
// none it makes it, and records that. The id is a valid one; errors are of the store.
func (s *Service) Ensure(ctx context.Context, rq *web.Request, id string) (p store.Profile, err error) {
	org := rq.Caller.Org
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if p, err = tx.Profile(ctx, org, id); err == nil {
			return s.claim(ctx, tx, org, p.UID)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		now := store.Now()
		p = store.Profile{
			ID:        id,
			UID:       web.NewID(),
			CreatedAt: now,
			UpdatedAt: now,
		}
		if err := tx.InsertProfile(ctx, org, p); err != nil {
			return err
		}
		if err := s.claim(ctx, tx, org, p.UID); err != nil {
			return err
		}
		made := rq.Event()
		made.Action, made.Object, made.UID, made.Outcome = string(access.ProfileWrite), id, p.UID, audit.OK
		return audit.Append(tx, made)
	})
	return p, err
}

// Folder is where the browser that uses a profile keeps its data. It need not exist.
func (s *Service) Folder(uid string) string { return filepath.Join(s.folder, uid) }

// RemoveFolder removes the folder of a deleted profile. Where it cannot, that is logged,
// and the next server tries: see [Service.Sweep].
func (s *Service) RemoveFolder(uid string) {
	unlock, err := s.files.lock(context.Background(), uid) // an import that found the row makes the folder no more
	if err == nil {
		defer unlock()
		err = os.RemoveAll(s.Folder(uid))
	}
	if err != nil {
		s.Log.Error("a deleted profile's folder was not removed", "profile", uid, "error", err)
	}
}

// Doubt notes profiles of which the database did not say whether they are there.
func (s *Service) Doubt(uids ...string) {
	s.inDoubt.mu.Lock()
	defer s.inDoubt.mu.Unlock()
	s.inDoubt.uids = append(s.inDoubt.uids, uids...)
}

// RemoveUnmade removes the folders of profiles that were in doubt and are not there. Errors are of the store.
func (s *Service) RemoveUnmade(ctx context.Context) error {
	s.inDoubt.mu.Lock()
	uids := s.inDoubt.uids
	s.inDoubt.uids = nil
	s.inDoubt.mu.Unlock()
	if len(uids) == 0 {
		return nil
	}
	var unmade []string
	err := s.DB.Write(ctx, func(tx *store.Tx) error { // which begins once what was in doubt has ended
		unmade = nil
		for _, uid := range uids {
			exists, err := tx.ProfileUIDExists(ctx, uid)
			if err != nil {
				return err
			}
			if !exists {
				unmade = append(unmade, uid)
			}
		}
		return nil
	})
	if err != nil {
		s.Doubt(uids...)
		return err
	}
	for _, uid := range unmade {
		s.RemoveFolder(uid)
	}
	return nil
}

// Sweep removes the folders of profiles that were deleted, and whose server ended
// before it had removed them. Of what is in the folder of all profiles it leaves what
// is not named by a uuid. Plain data go, too. It is called before the first runtime is launched.
func (s *Service) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if names.UUID(e.Name()) != nil {
			continue // not ours
		}
		known, err := s.DB.Read().ProfileUIDExists(ctx, e.Name())
		if err != nil {
			return err
		}
		if known {
			err = s.removePlain(e.Name())
		} else {
			err = os.RemoveAll(s.Folder(e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removePlain removes the data that a profile has from before data were sealed: folders,
// which no browser is given any more.
func (s *Service) removePlain(uid string) error {
	entries, err := os.ReadDir(s.Folder(uid))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil || !e.IsDir() {
			continue
		}
		s.Log.Warn("plain data of a browser profile, of before they were sealed, are removed", "profile", uid)
		if err := os.RemoveAll(filepath.Join(s.Folder(uid), e.Name())); err != nil {
			return err
		}
	}
	return nil
}
