package bctrl

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// AuditService reads the log of who did what. See [Client.Audit].
type AuditService struct{ via via }

const (
	pathAudit       = "/v1/audit"
	pathAuditVerify = pathAudit + "/verify"
	pathAuditStream = pathAudit + "/stream"
	pathAuditExport = pathAudit + "/export"
)

// AuditDecision is what access said.
type AuditDecision string

// The decisions.
const (
	AuditAllowed AuditDecision = "allow"
	AuditDenied  AuditDecision = "deny"
)

// Outcomes of events that are not the code of an error. An event whose effect
// still runs has the empty one.
const (
	// AuditOK is the outcome of what went well.
	AuditOK = "ok"
	// AuditUnknown is the outcome of an effect during which the server ended.
	AuditUnknown = "unknown"
)

// AuditEvent is one mutation, use of a secret or refusal. It never holds a
// value; texts that callers sent are in it as data, to be escaped by whoever
// prints them, and cut where they are longer than 2 KiB.
type AuditEvent struct {
	// Seq is the event's number in the log, which grows with time. Numbers in
	// between are events of others and the outcomes of earlier events.
	Seq int64 `json:"seq"`
	// ID is a uuid.
	ID string `json:"id"`
	// Time is when the log took the event: before its effect, in milliseconds.
	Time time.Time `json:"time"`
	// Caller is "key:<id>", "token:<id>", "runtime:<id>", "server", "operator"
	// (who works on the data directory itself) or "anonymous".
	Caller      string `json:"caller"`
	WorkspaceID string `json:"workspaceId,omitempty"`
	Group       string `json:"group,omitempty"`
	RuntimeID   string `json:"runtimeId,omitempty"`
	Execution   string `json:"execution,omitempty"`
	// Action is the right that was used or refused: "vault.use".
	Action string `json:"action"`
	// Object is what it was asked for: a key, an id, a path.
	Object string `json:"object,omitempty"`
	// UID and Version name the stored record that was meant.
	UID     string `json:"uid,omitempty"`
	Version int64  `json:"version,omitempty"`
	// Tier is where the credential of a call to a provider was found: group,
	// attached, workspace or global. UID and Version are then the credential's.
	Tier string `json:"tier,omitempty"`
	// Secrets are those that the call was made with, by field: the credential's
	// own, or what bindings put in their place.
	Secrets  []AuditSecret `json:"secrets,omitempty"`
	Decision AuditDecision `json:"decision,omitempty"`
	// Outcome is [AuditOK], [AuditUnknown], the code of an error, or empty
	// while the effect runs.
	Outcome string `json:"outcome,omitempty"`
	// Capability and Credential say what a call to a provider was made as, and
	// Consumer for whom.
	Capability string `json:"capability,omitempty"`
	Credential string `json:"credential,omitempty"`
	Consumer   string `json:"consumer,omitempty"`
	// Method, Host and Path are where it went: Path is the one that the
	// capability permits, such as "/repos/{owner}/{repo}", not the one that was
	// called. Status is the provider's, 0 when it gave none; of a refusal, the
	// server's own.
	Method string `json:"method,omitempty"`
	Host   string `json:"host,omitempty"`
	Path   string `json:"path,omitempty"`
	Status int    `json:"status,omitempty"`
	// RequestBytes and ResponseBytes count what of the bodies was sent and
	// passed on, DurationMs the milliseconds until the call was over.
	RequestBytes  int64  `json:"requestBytes,omitempty"`
	ResponseBytes int64  `json:"responseBytes,omitempty"`
	DurationMs    int64  `json:"durationMs,omitempty"`
	RequestID     string `json:"requestId,omitempty"`
	// TraceID is the trace of the request (W3C Trace Context), 32 hexadecimal digits: the one
	// that the server tells of, else the one that the caller named.
	TraceID string `json:"traceId,omitempty"`
	// Address is where a request without a good key or token came from: an IPv4
	// address, or the first 64 bits of an IPv6 one. Count is for how many of them
	// the event stands: those that come too often are counted, an event for each
	// address and minute with the action "auth.refused"; DurationMs is then from
	// the first to the last.
	Address string `json:"address,omitempty"`
	Count   int64  `json:"count,omitempty"`
	// EndedSeq and EndedAt are the number and time of the outcome, where the
	// log has it apart.
	EndedSeq int64     `json:"endedSeq,omitempty"`
	EndedAt  time.Time `json:"endedAt,omitzero"`
}

// AuditSecret is a secret that a call to a provider was made with.
type AuditSecret struct {
	// Field is which of the credential's secrets it was.
	Field string `json:"field"`
	// UID and Version name the stored secret; of an AI credential's own key that
	// credential.
	UID     string `json:"uid"`
	Version int64  `json:"version,omitempty"`
	// Tier is how specific the choice was: the credential's, or that of the
	// binding which put the secret in the place of the credential's own.
	Tier string `json:"tier,omitempty"`
	// Binding is the id of that binding; empty where there was none.
	Binding string `json:"binding,omitempty"`
}

// AuditFilter selects events; the zero AuditFilter selects all. Of fields that
// are set an event must match each, exactly.
type AuditFilter struct {
	WorkspaceID, RuntimeID string
	// Action is a right: "vault.write". Object is a key, an id, a path.
	Action, Object string
	// Outcome is [AuditOK], [AuditUnknown] or the code of an error.
	Outcome  string
	Decision AuditDecision
	// Capability and Credential are of calls to a provider.
	Capability, Credential string
	// Since is the first time that is meant, Until the first that is not.
	Since, Until time.Time
	// After and Before bound the numbers of events, both excluded; zero is no
	// bound.
	After, Before int64
}

// pairs are the filter as routes take it.
func (f AuditFilter) pairs() []string {
	return []string{
		"workspaceId", f.WorkspaceID, "runtimeId", f.RuntimeID, "action", f.Action, "object", f.Object,
		"outcome", f.Outcome, "decision", string(f.Decision), "capability", f.Capability, "credential", f.Credential, "since",
		timeText(f.Since), "until", timeText(f.Until),
		"after", seqText(f.After), "before", seqText(f.Before),
	}
}

// timeText and seqText are "" for zero, so that queryOf leaves it out.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func seqText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// Events lists events, newest first, fetching them as they are ranged over.
//
// Access: audit.read
func (s *AuditService) Events(
	ctx context.Context, filter AuditFilter, opts ...CallOption,
) iter.Seq2[AuditEvent, error] {
	return s.listing(filter).all(ctx, opts)
}

// Page is one page of [AuditService.Events]. A page may hold fewer events than
// were asked for, even none, and not be the last: NextCursor tells.
//
// Access: audit.read
func (s *AuditService) Page(
	ctx context.Context, filter AuditFilter, page PageOptions, opts ...CallOption,
) (*Page[AuditEvent], error) {
	return s.listing(filter).page(ctx, page, opts)
}

func (s *AuditService) listing(filter AuditFilter) listing[AuditEvent] {
	return listing[AuditEvent]{
		via:    s.via,
		path:   pathAudit,
		query:  filter.pairs(),
		plural: wire.AuditEvents,
	}
}

// AuditReport is what verifying the log found.
type AuditReport struct {
	// OK is set when there is no problem.
	OK bool `json:"ok"`
	// Events counts the log's entries: events, and outcomes where the log has
	// them apart. Records counts what was compared with them.
	Events  int64 `json:"events"`
	Records int64 `json:"records"`
	// Checkpoints counts the signed ones; Signed is up to which number they
	// reach. What follows is of the last second of a server that runs, or that
	// did not end by itself.
	Checkpoints int64 `json:"checkpoints"`
	Signed      int64 `json:"signed"`
	// Head is where the log ends.
	Head AuditHead `json:"head"`
	// PublicKey checks the checkpoints (Ed25519, in base64).
	PublicKey []byte `json:"publicKey"`
	// Accepted are the events in which an operator accepted the log as it was
	// then; see `bctrl audit accept`.
	Accepted []int64 `json:"accepted,omitempty"`
	// Problems are at most 100; More counts the others.
	Problems []AuditProblem `json:"problems"`
	More     int64          `json:"more,omitempty"`
}

// AuditHead is where the log ends.
type AuditHead struct {
	Seq int64 `json:"seq"`
	// Hash covers every event up to Seq (SHA-256, in base64).
	Hash []byte `json:"hash"`
}

// AuditProblem is something that was changed behind the server's back.
type AuditProblem struct {
	Kind AuditProblemKind `json:"kind"`
	// Seq is the number of the event where it shows, or of the first of those
	// among which it is; 0 where there is none, or where it is not for the
	// organization to know.
	Seq     int64  `json:"seq,omitempty"`
	Message string `json:"message"`
	// Record names the stored record, as "vault:<uid>".
	Record string `json:"record,omitempty"`
}

// AuditProblemKind is a sort of problem.
type AuditProblemKind string

// The sorts of problems.
const (
	// AuditEventMissing: events were deleted.
	AuditEventMissing AuditProblemKind = "event_missing"
	// AuditEventChanged: an event was edited, inserted or moved.
	AuditEventChanged AuditProblemKind = "event_changed"
	// AuditIndexChanged: an event is whole, but would not be found by its
	// filters, or would be by others.
	AuditIndexChanged AuditProblemKind = "index_changed"
	// AuditRewritten: the events fit together, and are not those that were
	// signed.
	AuditRewritten AuditProblemKind = "rewritten"
	// AuditTruncated: events that were signed are gone from the end.
	AuditTruncated AuditProblemKind = "truncated"
	// AuditCheckpointMissing and AuditCheckpointForged: a checkpoint was
	// deleted, or the key did not sign it.
	AuditCheckpointMissing AuditProblemKind = "checkpoint_missing"
	AuditCheckpointForged  AuditProblemKind = "checkpoint_forged"
	// AuditHeadMissing and AuditHeadForged: the head outside the database was
	// removed, or the key did not sign it.
	AuditHeadMissing AuditProblemKind = "head_missing"
	AuditHeadForged  AuditProblemKind = "head_forged"
	// AuditDatabaseOlder: the database is older than the head outside, or has
	// another history.
	AuditDatabaseOlder AuditProblemKind = "database_older"
	// AuditRecordChanged, AuditRecordOlder, AuditRecordMissing and
	// AuditRecordAdded: a stored record is not what the log says it is.
	AuditRecordChanged AuditProblemKind = "record_changed"
	AuditRecordOlder   AuditProblemKind = "record_older"
	AuditRecordMissing AuditProblemKind = "record_missing"
	AuditRecordAdded   AuditProblemKind = "record_added"
	// AuditElsewhere: something of another organization was changed.
	AuditElsewhere AuditProblemKind = "elsewhere"
)

// Verify recomputes the log and compares it with its signed checkpoints, with
// the head that is kept outside the database, and with the records as they are
// stored. It takes some seconds for a million events. What is wrong is in the
// report, not in the error.
//
// Access: audit.read
func (s *AuditService) Verify(ctx context.Context, opts ...CallOption) (*AuditReport, error) {
	var out AuditReport
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathAuditVerify,
		out:    &out,
		slow:   true,
		opts:   opts,
	}))
}
