package bctrltest

import (
	"log/slog"
	"path/filepath"
	"time"
)

// WithLog gives the server a log to write to.
func WithLog(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithActionTimeout bounds each action of an agent on a page of a real browser.
func WithActionTimeout(d time.Duration) Option { return func(o *options) { o.actionTimeout = d } }

// DataDir is where the server keeps everything but its key.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }
