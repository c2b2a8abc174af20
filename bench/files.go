package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
)

// transfer moves total bytes, split over callers, and returns MiB a second.
func transfer(
	ctx context.Context, callers int, total int64, fn func(ctx context.Context, caller int, size int64) error,
) (float64, error) {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	began := time.Now()
	for c := range callers {
		wg.Go(func() { errs[c] = fn(ctx, c, total/int64(callers)) })
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(total) / (1 << 20) / took, nil
}

// pattern is a reader of left bytes that costs nothing.
type pattern struct{ left int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.left))
	p.left -= int64(n)
	return n, nil // the caller's buffer is content enough
}

// way moves one caller's file.
type way = func(ctx context.Context, caller int, size int64) error

// transfers compares uploads and downloads with the bare server's. The SDK checks the
// digest of what it downloads: rows tell whether the other side does, and of a client
// that does not, at both servers, what the server's part is.
func (p plan) transfers(ctx context.Context, t table, c *bctrl.Client, unchecked, bare *plainClient) error {
	files := c.Storage(namespace)
	path := func(caller int) string { return fmt.Sprintf("work-%02d.bin", caller) }
	at := func(caller int) []string { return []string{"storage", "namespaces", namespace, "files", path(caller)} }
	download := func(ctx context.Context, caller int, size int64) error {
		r, err := files.Open(ctx, path(caller))
		if err != nil {
			return err
		}
		defer r.Close()
		return readSize(r, io.Discard, size)
	}
	plain := func(ctx context.Context, from *plainClient, caller int, w io.Writer, size int64) error {
		resp, err := from.send(ctx, http.MethodGet, nil, nil, false, at(caller)...)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return readSize(resp.Body, w, size)
	}
	jobs := []struct {
		name         string
		ours, theirs way
	}{
		{
			"upload",
			func(ctx context.Context, caller int, size int64) error {
				_, err := files.Upload(ctx, path(caller), &pattern{size}, bctrl.WithSize(size))
				return err
			},
			func(ctx context.Context, caller int, size int64) error {
				resp, err := bare.send(ctx, http.MethodPut, nil, &pattern{size}, false, at(caller)...)
				if err != nil {
					return err
				}
				return resp.Body.Close()
			},
		},
		{
			"download", download,
			func(ctx context.Context, caller int, size int64) error {
				return plain(ctx, bare, caller, io.Discard, size)
			},
		},
		{
			"download without the SDK",
			func(ctx context.Context, caller int, size int64) error {
				return plain(ctx, unchecked, caller, io.Discard, size)
			},
			func(ctx context.Context, caller int, size int64) error {
				return plain(ctx, bare, caller, io.Discard, size)
			},
		},
		{
			"download, both check SHA-256 of", download,
			func(ctx context.Context, caller int, size int64) error {
				return plain(ctx, bare, caller, sha256.New(), size)
			},
		},
	}
	for _, callers := range p.callers {
		for _, job := range jobs { // what was uploaded is downloaded
			var our, their float64
			for range p.rounds {
				for _, side := range []struct {
					best *float64
					way  way
				}{{&their, job.theirs}, {&our, job.ours}} {
					speed, err := transfer(ctx, callers, p.upload, side.way)
					if err != nil {
						return fmt.Errorf("%s: %w", job.name, err)
					}
					*side.best = max(*side.best, speed)
				}
			}
			t.row(fmt.Sprintf("%s %d MiB", job.name, p.upload>>20), fmt.Sprint(callers), rate(our),
				rate(their), ratio(our/their))
		}
	}
	return nil
}

func readSize(r io.Reader, w io.Writer, size int64) error {
	n, err := io.Copy(w, r)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d arrived", n, size)
	}
	return err
}
