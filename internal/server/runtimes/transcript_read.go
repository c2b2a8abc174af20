package runtimes

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxStepFile bounds one step of a transcript, in bytes.
const maxStepFile = 8 << 20

func errNoTranscript() *bctrl.Error {
	return web.WithHint(
		web.NotFound("operations.no_transcript", "the operation has no transcript"),
		"one is kept of agents' steps where the mounts permit to put files into storage; its result has the actions",
	)
}

func errTranscriptChanged() *bctrl.Error {
	return web.WithHint(
		web.Conflict("operations.transcript_changed", "files of the transcript are not as the operation wrote them"),
		"they were changed or deleted in storage: nothing in them is believed",
	)
}

// getTranscript answers with a page of an operation's transcript. It takes the right to
// read the operation, and the right to the files.
func (s *Service) getTranscript(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.TranscriptStep], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	from := 0
	if after != "" {
		if from, err = strconv.Atoi(after); err != nil || from < 1 {
			return list, web.Invalid("request.cursor", "cursor", "the cursor is not one that this server gave")
		}
	}
	info, op, err := s.authorizedOperation(ctx, rq)
	if err != nil {
		return list, err
	}
	if op != nil {
		info = op.snapshot()
	}
	sums, err := s.grantedTranscript(ctx, rq, info)
	if err != nil {
		return list, err
	}
	list.Plural = wire.TranscriptSteps
	until := min(from+limit, len(sums))
	for n := from + 1; n <= until; n++ {
		step, err := s.readStep(ctx, rq.Caller.Org, info, n, sums[n-1])
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, step)
	}
	if until < len(sums) {
		list.NextCursor = web.CursorOf(strconv.Itoa(until))
	}
	return list, nil
}

// grantedTranscript decides whether the caller may read the files of a transcript, and
// returns the digests of all of them: those that the operation wrote, or an error.
func (s *Service) grantedTranscript(
	ctx context.Context, rq *web.Request, info bctrl.OperationInfo,
) (sums []string, err error) {
	t := info.Transcript
	if t == nil {
		return nil, errNoTranscript()
	}
	if !rq.Granted.Decide(&rq.Caller, access.Action{Verb: bctrl.GetStorage, Object: t.Namespace}) {
		return nil, web.OutsideMount(bctrl.GetStorage)
	}
	digest := ""
	for n := 1; n <= t.Steps; n++ {
		o, err := s.DB.Read().Object(ctx, rq.Caller.Org, t.Namespace, transcriptPath(info.ID, n, "json"))
		if errors.Is(err, store.ErrNotFound) {
			return nil, errTranscriptChanged()
		}
		if err != nil {
			return nil, err
		}
		sums, digest = append(sums, o.SHA256), chained(digest, o.SHA256)
	}
	if digest != t.Digest {
		return nil, errTranscriptChanged()
	}
	return sums, nil
}

// readStep reads one step, whose file has to have the digest.
func (s *Service) readStep(
	ctx context.Context, org string, info bctrl.OperationInfo, n int, sum string,
) (step bctrl.TranscriptStep, err error) {
	text, err := s.files.Read(ctx, org, info.Transcript.Namespace, transcriptPath(info.ID, n, "json"), maxStepFile)
	if e, known := errors.AsType[*bctrl.Error](err); known && e.Status < http.StatusInternalServerError {
		return step, errTranscriptChanged() // it has gone, or grown, since it was looked at
	}
	if err != nil {
		return step, err
	}
	if sumOf(text) != sum || strictjson.Unmarshal(text, &step) != nil || step.Number != n {
		return step, errTranscriptChanged()
	}
	return step, nil
}
