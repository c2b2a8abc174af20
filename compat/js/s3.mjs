// The S3 client of AWS: our token is the session's, and the keys that sign are
// none.
import { gzipSync } from "node:zlib";
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { main } from "./compat.mjs";

const Bucket = "reports";

await main(async (base, key, direct) => {
  const [accessKeyId, secretAccessKey, sessionToken] = direct ? key.split(" ") : ["AKIDNONE", "none", key];
  const s3 = new S3Client({
    endpoint: base, region: "eu-west-1", forcePathStyle: true, maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
  });
  const read = async (input) => Buffer.from(await (await s3.send(new GetObjectCommand({ Bucket, ...input }))).Body.transformToByteArray());
  const kept = async (Key, Body, more) => {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
    return (await read({ Key })).equals(Body);
  };
  const packed = gzipSync("a line of a log\n".repeat(500));
  const how = { ContentEncoding: "gzip", CacheControl: "max-age=60", ContentType: "text/plain" };
  const plain = await kept("2026/Q1 report+final (ü).csv", Buffer.alloc(1280000, "0123456789abcdef"));
  const compressed = await kept("log.gz", packed, how);
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "log.gz" }));
  let missing = "";
  try {
    await read({ Key: "missing" });
  } catch (e) {
    missing = e.Code;
  }
  const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "2026/" }));
  return {
    plain,
    compressed,
    percent: await kept("100%.txt", Buffer.from("all of it")),
    odd: await kept("a=b&c;d/%zz.txt", Buffer.from("odd")),
    range: (await read({ Key: "log.gz", Range: "bytes=2-9" })).equals(packed.subarray(2, 10)),
    head: [head.ContentLength === packed.length, head.ContentEncoding, head.CacheControl, head.ContentType],
    listed: listed.Contents.map((o) => o.Key),
    missing,
  };
});
