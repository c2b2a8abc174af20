package bridge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A folder is opened once and files are named below it, so that no name leads out of it.

const (
	folderMode = 0o755
	fileMode   = 0o600
	// maxName is the longest name of a file, in bytes, on the file systems that there are,
	// with room for a number.
	maxName = 255 - len(" (1000)")
	// maxSame bounds the files of one name in a folder.
	maxSame = 1000
)

// isGUID reports whether a text can be the guid of a download, and so a name in a folder.
func isGUID(text string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
	return text != "" && len(text) <= 64 && strings.Trim(text, alphabet) == ""
}

// saveAs writes a download into a folder, under its guid.
func saveAs(folder, guid string, r io.Reader) (path string, err error) {
	if !isGUID(guid) {
		return "", errors.New("the guid of the download is none")
	}
	return write(folder, r, func(root *os.Root, temp string) (string, error) {
		return guid, root.Rename(temp, guid)
	})
}

// save writes a download into a folder, under the name that a page suggests or, where
// there is such a file, under one with a number.
func save(folder, suggested string, r io.Reader) (path string, err error) {
	name := safeName(suggested)
	return write(folder, r, func(root *os.Root, temp string) (string, error) {
		for i := range maxSame {
			as := numbered(name, i)
			if err := move(root, temp, as); !errors.Is(err, fs.ErrExist) {
				return as, err
			}
		}
		return "", fmt.Errorf("the folder has %d files of the name", maxSame)
	})
}

// write writes a file under a name that says that it is not complete, has it put in its
// place, and returns where that is.
func write(folder string, r io.Reader, place func(root *os.Root, temp string) (string, error)) (string, error) {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer root.Close()
	temp := rand.Text() + ".crdownload" // what tools that wait for a file in a folder pass over
	f, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Remove(temp) }() // it was moved, unless something failed
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	name, err := place(root, temp)
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, name), nil
}

// move gives a file another name, which no file has.
func move(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// There are file systems without links.
	f, err := root.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), root.Rename(from, to))
}

// numbered is the name of the i-th file of a name: "report (2).csv".
func numbered(name string, i int) string {
	if i == 0 {
		return name
	}
	ext := filepath.Ext(name)
	return fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), i, ext)
}

// safeName makes the name of a file out of what a page suggests: one segment, which is
// not hidden and which each system takes.
func safeName(suggested string) string {
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(suggested, "_"))
	name = strings.TrimRight(name, ". ")
	if trimmed := strings.TrimLeft(name, "."); trimmed != name {
		name = "_" + trimmed
	}
	if ext := filepath.Ext(name); len(name) > maxName && len(ext) < maxName/2 {
		name = cut(name, maxName-len(ext)) + ext
	}
	name = cut(name, maxName)
	if name == "" || !filepath.IsLocal(name) {
		return "download"
	}
	return name
}

// cut shortens a text to so many bytes of whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
