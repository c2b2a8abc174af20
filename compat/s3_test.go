package compat

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
)

var awsS3 = provider{
	id:    "aws-s3",
	key:   awsKey,
	allow: []string{"aws-s3/read", "aws-s3/write"},
	hosts: []string{s3Host, s3Bucket},
	secrets: map[string]string{
		"AWS_ACCESS_KEY_ID":     awsID,
		"AWS_SECRET_ACCESS_KEY": awsKey,
		"AWS_SESSION_TOKEN":     awsSession,
	},
}

// awsConfig puts a runtime token where a session token is put: the key that
// such a session is signed with is none.
func TestS3(t *testing.T) {
	everywhere(t, newS3, awsS3, []program{
		{"answers", true, s3Answers},
		{"never shows the key", false, s3NeverShowsTheKey},
		{"refuses what is not mounted", false, s3RefusesWhatIsNotMounted},
	})
}

func awsConfig(p place) aws.Config {
	cfg := aws.Config{
		Region:      awsRegion,
		HTTPClient:  p.http,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDNONE", "none", p.key),
	}
	if p.direct {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(awsID, awsKey, awsSession)
	}
	if p.base != "" {
		cfg.BaseEndpoint = &p.base
	}
	return cfg
}

func s3Client(p place) *s3.Client {
	return s3.NewFromConfig(awsConfig(p), func(o *s3.Options) { o.UsePathStyle = p.base != "" })
}

func s3Answers(t *testing.T, p place) {
	ctx, client := soon(t), s3Client(p)
	key := aws.String("2026/Q1 report+final (ü).csv") // what is escaped, and signed so
	content := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)

	var body io.Reader = bytes.NewReader(content)
	if p.base == "" {
		body = io.MultiReader(body) // which cannot be read twice; the SDK wants https for that
	}
	put := &s3.PutObjectInput{
		Bucket:        aws.String(bucket),
		Key:           key,
		Body:          body,
		ContentLength: aws.Int64(int64(len(content))),
	}
	_, err := client.PutObject(ctx, put)
	require.NoError(t, err)

	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: key})
	require.NoError(t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, text))
	require.Equal(t, "report", got.Metadata["kind"])

	part, err := client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(bucket),
		Key:    key,
		Range:  aws.String("bytes=10-19"),
	})
	require.NoError(t, err)
	defer part.Body.Close()
	text, err = io.ReadAll(part.Body)
	require.NoError(t, err)
	require.Equal(t, content[10:20], text)

	head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: key})
	require.NoError(t, err)
	require.Equal(t, etag(content), *head.ETag)
	require.NotNil(t, head.ContentLength)
	require.EqualValues(t, len(content), *head.ContentLength)

	page, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: aws.String(bucket),
		Prefix: aws.String("2026/Q1 r"),
	})
	require.NoError(t, err)
	require.Len(t, page.Contents, 1)
	require.Equal(t, *key, *page.Contents[0].Key)

	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("missing")})
	require.ErrorAs(t, err, new(*types.NoSuchKey), "the provider's own error")
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(limited)},
		func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	require.Equal(t, "SlowDown", codeOf(t, err))
}

func s3NeverShowsTheKey(t *testing.T, p place) {
	_, err := s3Client(p).GetObject(soon(t), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(echo)})
	require.Equal(t, "Echo", codeOf(t, err))
	require.NotContains(t, err.Error(), awsKey)
	require.NotContains(t, err.Error(), awsSession)
	require.Contains(t, err.Error(), "[secret] [secret]")
}

func s3RefusesWhatIsNotMounted(t *testing.T, p place) {
	_, err := s3Client(p).DeleteObject(soon(t), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("x")})
	require.Error(t, err)
	require.Contains(t, err.Error(), "StatusCode: 403")
	require.Contains(t, err.Error(), "the missing right is capability.invoke", "the refusal says what it is")
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestS3InOtherLanguages(t *testing.T) {
	t.Parallel()
	prints := map[string]any{
		"plain":      true,
		"compressed": true,
		"percent":    true,
		"odd":        true,
		"range":      true,
		"missing":    "NoSuchKey",
		"head":       list(true, "gzip", "max-age=60", "text/plain"),
		"listed":     list("2026/Q1 report+final (ü).csv"),
	}
	whole := awsS3
	whole.key = awsID + " " + awsKey + " " + awsSession
	scripted(t, "python/s3_sdk.py", newS3, whole, "", prints)
	scripted(t, "js/s3.mjs", newS3, whole, "", prints)
}
