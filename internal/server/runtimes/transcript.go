package runtimes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/scrub"
	"github.com/bctrl-go/bctrl/internal/server/files"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// transcript is what an operation has written of its agents' steps. One step runs at a
// time, and it alone writes. An execution that somebody waits for has none: its result
// says what was done, and nothing would lead to its files.
type transcript struct {
	bctrl.TranscriptInfo
	// recorded counts all steps, also those that were not written.
	recorded int
	// over is set once the mounts did not permit a step's file: what follows a gap is
	// no transcript.
	over bool
}

// info is what an operation says of it; nil where nothing was written.
func (t *transcript) info() *bctrl.TranscriptInfo {
	if t.Steps == 0 {
		return nil
	}
	out := t.TranscriptInfo
	return &out
}

// add takes in a file that was written, by the hexadecimal SHA-256 of its bytes.
func (t *transcript) add(namespace, sum string) {
	t.Namespace, t.Digest = namespace, chained(t.Digest, sum)
	t.Steps++
}

// cut ends it before its execution ends.
func (t *transcript) cut() { t.over, t.Cut = true, true }

// chained is the digest of a transcript with one file more: see [bctrl.TranscriptInfo].
// Both are in hexadecimal.
func chained(digest, sum string) string {
	before, errBefore := hex.DecodeString(digest)
	file, errFile := hex.DecodeString(sum)
	if errBefore != nil || errFile != nil {
		return "" // no digest, which no file fits
	}
	return sumOf(append(before, file...))
}

// sumOf is the SHA-256 of bytes in hexadecimal.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// transcriptPath is where a step of an execution's transcript is kept.
func transcriptPath(execution string, number int, ext string) string {
	return fmt.Sprintf("operations/%s/%04d.%s", execution, number, ext)
}

// recorder keeps what an agent does in one step of an execution.
type recorder struct {
	*transcript
	call  bctrl.Call
	index int
	begun time.Time
	soFar partial
	// tell is told what the step has done, after each step of the agent.
	tell func(bctrl.StepResult)
}

// recordedBy returns the execution with a recorder, which begins now.
func (x *execution) recordedBy(r *recorder) *execution {
	r.begun = time.Now()
	recorded := *x
	recorded.recorder = r
	return &recorded
}

// record keeps a step of an agent: as files in the namespace that its mounts give, and as
// part of the execution's result. That the mounts give no namespace is no error; that a
// file cannot be written ends the task, which would else do what nobody can look up.
func (s *Service) record(ctx context.Context, x *execution, r agent.Record) error {
	rec := x.recorder
	if rec == nil {
		return nil
	}
	rec.recorded++
	r.Number, r.Call, r.CallIndex = rec.recorded, rec.call, rec.index
	rec.soFar.add(r.TranscriptStep)
	err := s.writeStep(ctx, x, r)
	rec.tell(bctrl.StepResult{Call: rec.call, Result: rec.soFar.result(rec.call), Duration: time.Since(rec.begun)})
	return err
}

// writeStep puts a step into storage, and before it its picture.
func (s *Service) writeStep(ctx context.Context, x *execution, r agent.Record) error {
	rec := x.recorder
	if rec.over {
		return nil
	}
	namespace, err := s.keepsIn(ctx, x)
	if err != nil {
		return err
	}
	if namespace == "" || rec.Steps > 0 && namespace != rec.Namespace {
		rec.cut()
		return nil
	}
	var object bctrl.StorageObject
	if r.PNG != nil {
		r.Picture = transcriptPath(x.id, r.Number, "png")
		object, err = s.putFile(ctx, x, recording(r.Picture, "image/png"), bytes.NewReader(r.PNG))
		r.PictureSHA256 = object.SHA256
	}
	if err == nil {
		object, err = s.putStep(ctx, x, r.TranscriptStep)
	}
	switch {
	case errors.Is(err, bctrl.ErrOutsideMount) && ctx.Err() == nil:
		rec.cut() // the mounts were lowered meanwhile
		return nil
	case err != nil:
		return s.notRecorded(ctx, x, err)
	}
	rec.add(object.Workspace, object.SHA256)
	return nil
}

func (s *Service) putStep(
	ctx context.Context, x *execution, step bctrl.TranscriptStep,
) (bctrl.StorageObject, error) {
	text, err := maskedStep(x.live.secrets, step)
	if err != nil {
		return bctrl.StorageObject{}, err
	}
	return s.putFile(ctx, x, recording(transcriptPath(x.id, step.Number, "json"), "application/json"),
		bytes.NewReader(text))
}

func recording(path, contentType string) files.Incoming {
	return files.Incoming{Path: path, ContentType: contentType, Source: bctrl.SourceRecording}
}

// keepsIn is the namespace in which the mounts of now let the execution put files; empty
// for none. Where there never was one, no attempt is recorded that nobody made.
func (s *Service) keepsIn(ctx context.Context, x *execution) (string, error) {
	caller, err := s.currentCaller(ctx, x)
	if err != nil {
		return "", err
	}
	storage := caller.Runtime.Chain.Effective().Storage
	if storage == nil || !caller.Runtime.Chain.Allows(bctrl.Action{Verb: bctrl.PutStorage, Object: storage.Workspace}) {
		return "", nil
	}
	return storage.Workspace, nil
}

// notRecorded is the error of a file that could not be written. What has a code of its
// own, as a disk that is full or a server that stops, keeps it.
func (s *Service) notRecorded(ctx context.Context, x *execution, err error) error {
	if ctx.Err() != nil || web.AsError(err) != web.ErrInternal {
		return err
	}
	s.Log.Error("a transcript was not written", "execution", x.id, "error", err)
	return web.WithHint(
		web.Fault("operations.not_recorded", "the transcript could not be written, and the task was ended"),
		"look at the server's disk and log; without storage in the mounts no transcript is kept",
	)
}

// maskedStep encodes a step with every secret in its texts masked.
func maskedStep(secrets *scrub.Set, step bctrl.TranscriptStep) ([]byte, error) {
	plain, err := json.Marshal(step)
	if err != nil {
		return nil, err
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return json.MarshalIndent(maskedValue(secrets, v), "", "  ")
}

// maskedValue masks secrets in the texts of decoded JSON, and in its names, which a model
// may choose in an action's arguments.
func maskedValue(secrets *scrub.Set, v any) any {
	switch v := v.(type) {
	case string:
		return secrets.String(v)
	case []any:
		for i := range v {
			v[i] = maskedValue(secrets, v[i])
		}
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, value := range v {
			masked[secrets.String(name)] = maskedValue(secrets, value)
		}
		return masked
	}
	return v
}

// recordGoto keeps that a step opened a page, so that a replay opens it too. It depends
// on nothing that was seen before. What may be a credential in the address is masked, and
// such a step is refused when it is to be done again: who has the address can give it.
func (s *Service) recordGoto(ctx context.Context, x *execution, a bctrl.GotoArgs) error {
	bare := bareURL(a.URL)
	a.URL = scrub.Address(a.URL)
	arguments, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.record(ctx, x, agent.Record{TranscriptStep: bctrl.TranscriptStep{
		At:      time.Now(),
		Actions: []bctrl.ActAction{{Kind: "navigate", Target: bare, Arguments: arguments}},
	}})
}
