package files

import (
	"context"
	"errors"
	"path"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// freePath returns the first "name (n).ext" beside a path that is taken. It
// asks about as few as it can: where the numbers have no gaps, it finds the
// end of them by halving.
func freePath(ctx context.Context, tx *store.Tx, org, namespace, taken string) (string, error) {
	var failed error
	free := func(n int) bool {
		_, err := tx.Object(ctx, org, namespace, numberedPath(taken, n))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			failed = err
		}
		return err != nil
	}
	low, high := 1, 2 // low is taken
	for !free(high) {
		low, high = high, high*2
	}
	for high-low > 1 && failed == nil {
		if mid := (low + high) / 2; free(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return numberedPath(taken, high), failed
}

// numberedPath puts a number into a path, before the extension, and shortens the
// name where there is no room for it.
func numberedPath(p string, n int) string {
	folder, name := path.Split(p)
	ext := path.Ext(name)
	if len(ext) == len(name) || len(ext) > 32 { // ".profile" is all name
		ext = ""
	}
	stem, suffix := strings.TrimSuffix(name, ext), " ("+strconv.Itoa(n)+")"+ext
	room := min(255-len(suffix), 1024-len(folder)-len(suffix))
	if len(stem) > room {
		stem = strings.ToValidUTF8(stem[:max(room, 0)], "")
	}
	return folder + stem + suffix
}

// CanonicalPath is the border at which a path is brought to Unicode form NFC,
// once, and then checked.
func CanonicalPath(text string) (string, error) {
	path := norm.NFC.String(text)
	return path, bctrl.ValidStoragePath(path)
}

func validNamespace(ns string) error {
	if err := names.Name(ns); err != nil {
		return web.Invalid("storage.invalid_namespace", "", "not a namespace: "+err.Error())
	}
	return nil
}

func objectKey(namespace, path string) string { return namespace + "/" + path }

// canonicalPrefix brings the start of a path to NFC and refuses what no path can
// begin with.
func canonicalPrefix(field, text string) (string, error) {
	prefix := norm.NFC.String(text)
	if prefix == "" || bctrl.ValidStoragePath(prefix) == nil {
		return prefix, nil
	}
	if err := bctrl.ValidStoragePath(prefix + "x"); err != nil { // "a/" and "a/." can begin one
		return "", web.Invalid("storage.invalid_prefix", field, "no storage path can begin like this")
	}
	return prefix, nil
}
