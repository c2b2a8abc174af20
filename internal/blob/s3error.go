package blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// slowError ends an attempt that took too long. It does not unwrap to the end of a
// context, which the SDK would take for the caller's and not try again.
type slowError struct{}

func (slowError) Error() string { return "no answer in time" }

// RetryableError has the SDK try again.
func (slowError) RetryableError() bool { return true }

// Timeout has the SDK count it as one.
func (slowError) Timeout() bool { return true }

// errShort is an answer that ended too early.
var errShort = errors.New("the answer broke off")

// s3Failure says in the store's terms what an S3 server answered, or why it did not.
// What it says of the answer are the status and the code alone: messages of a server
// may repeat what was sent to it, the signature with the key's id too.
func s3Failure(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // the caller's, and no fault of the store
		return context.Cause(ctx)
	}
	kind, why := ErrUnavailable, transportFault(err)
	if answered, ok := errors.AsType[*awshttp.ResponseError](err); ok && answered.HTTPStatusCode() != 0 {
		code := errorCode(err)
		kind, why = answerKind(answered.HTTPStatusCode(), code), fmt.Sprintf("%d %s", answered.HTTPStatusCode(), code)
	}
	return fmt.Errorf("%w: %s: %s", kind, operation, why)
}

// errorCode is the code of an S3 error, such as SlowDown, without anything that no code has.
func errorCode(err error) string {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || !regexp.MustCompile(`^[A-Za-z0-9.]{1,64}$`).MatchString(api.ErrorCode()) {
		return "without a code"
	}
	return api.ErrorCode()
}

func answerKind(status int, code string) error {
	switch code {
	case "NoSuchBucket":
		return ErrNoBucket
	case "NoSuchKey", "NotFound": // the latter of a HEAD
		return ErrNotFound
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage":
		return ErrFull
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return ErrForbidden // it is in another region
	case "XAdminUserNotFound":
		return ErrForbidden // what versitygw calls InvalidAccessKeyId
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrForbidden
	case http.StatusInsufficientStorage:
		return ErrFull
	}
	return ErrUnavailable
}

// transportFault says why there was no answer, without the address that was asked for,
// which [url.Error] has in it.
func transportFault(err error) string {
	if _, ok := errors.AsType[slowError](err); ok {
		return slowError{}.Error()
	}
	if errors.Is(err, errShort) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errShort.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "its host was not found: " + dns.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Error()
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unknown.Error()
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		if sent.Timeout() {
			return slowError{}.Error()
		}
		return "the connection failed"
	}
	return "the request could not be made"
}
