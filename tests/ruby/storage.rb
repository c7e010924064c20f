# frozen_string_literal: true

# Writes and deletes media in a bucket with the gems and the options of Mastodon: settings by dotenv,
# uploads as Paperclip's `s3_object(style).upload_file`, deletions one by one and in batches, and the
# ACL of a suspended account's media.
#
# ruby storage.rb LIVE ENDPOINT
#
# LIVE is Mastodon's directory, ENDPOINT where `S3_ENDPOINT` is on this machine. Reads one request of
# JSON a line from standard input, and answers each with a line: `{"ok": …}` or `{"error": …}`.

require 'aws-sdk-s3'
require 'dotenv'
require 'json'

MEGABYTE = 1024 * 1024

live, endpoint = ARGV
# As dotenv-rails has them in production, the first outranking the others.
files = %w(.env.production.local .env.local .env.production .env).map { |name| File.join(live, name) }
Dotenv.load(*files.select { |file| File.exist?(file) })
abort 'S3_ENABLED is not true' unless ENV['S3_ENABLED'] == 'true'

PREFIX = ENV['S3_KEY_PREFIX'].to_s.empty? ? '' : "#{ENV['S3_KEY_PREFIX'].chomp('/')}/"
PERMISSION = ENV.fetch('S3_PERMISSION', 'public-read')

BUCKET = Aws::S3::Resource.new(
  region: ENV.fetch('S3_REGION', 'us-east-1'),
  access_key_id: ENV['AWS_ACCESS_KEY_ID'],
  secret_access_key: ENV['AWS_SECRET_ACCESS_KEY'],
  endpoint: endpoint,
  force_path_style: ENV['S3_OVERRIDE_PATH_STYLE'] != 'true',
  http_open_timeout: ENV.fetch('S3_OPEN_TIMEOUT', '5').to_i,
  http_read_timeout: ENV.fetch('S3_READ_TIMEOUT', '5').to_i,
  http_idle_timeout: 5,
  retry_limit: ENV.fetch('S3_RETRY_LIMIT', '0').to_i
).bucket(ENV.fetch('S3_BUCKET'))

def upload(request)
  options = {
    content_type: request['type'],
    cache_control: 'public, max-age=315576000, immutable',
    multipart_threshold: ENV.fetch('S3_MULTIPART_THRESHOLD', 15 * MEGABYTE).to_i,
  }
  options[:acl] = PERMISSION unless PERMISSION.empty?
  BUCKET.object(PREFIX + request['key']).upload_file(request['file'], options)
end

def delete(keys, batch)
  keys = keys.map { |key| PREFIX + key }
  there = keys.select { |key| BUCKET.object(key).exists? }
  if batch
    objects = keys.map { |key| { key: key } }
    errors = BUCKET.delete_objects(delete: { objects: objects, quiet: true }).errors
    raise errors.map(&:message).join(', ') unless errors.empty?
  else
    keys.each { |key| BUCKET.object(key).delete }
  end
  there.map { |key| key.delete_prefix(PREFIX) }
end

def acl(request)
  return if PERMISSION.empty?

  acl = request['hidden'] ? 'private' : PERMISSION
  BUCKET.object(PREFIX + request['key']).acl.put(acl: acl)
rescue Aws::S3::Errors::NoSuchKey
  # Mastodon logs it.
end

def answer(request)
  case request['do']
  when 'upload' then upload(request)
  when 'exists' then BUCKET.object(PREFIX + request['key']).exists?
  when 'delete' then delete(request['keys'], request['batch'])
  when 'acl' then acl(request)
  else raise "unknown request #{request['do']}"
  end
end

$stdout.sync = true
puts({ ok: 'ready' }.to_json)
$stdin.each_line do |line|
  result = begin
    { ok: answer(JSON.parse(line)) }
  rescue StandardError => e
    { error: "#{e.class}: #{e.message}" }
  end
  puts result.to_json
end
