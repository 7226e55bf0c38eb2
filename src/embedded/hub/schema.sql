-- The Outreach Execution hub as production has it: 18 captured tables and the three that foreign keys only refer to,
-- with the columns that production has beyond the documented ones. Run again, it changes nothing.

create schema if not exists cl;
create schema if not exists outreach;
create schema if not exists outreach_ctx;
create schema if not exists bit;

do $$ begin
  create type outreach.event_type as enum (
    'email_open', 'email_click', 'email_reply', 'email_bounce', 'linkedin_view', 'website_visit', 'form_submit');
exception when duplicate_object then null; end $$;

do $$ begin
  create type outreach.lifecycle_state as enum (
    'SUSPECT', 'WARM', 'TALENTFLOW_WARM', 'REENGAGEMENT', 'APPOINTMENT', 'CLIENT', 'DISQUALIFIED', 'UNSUBSCRIBED');
exception when duplicate_object then null; end $$;

-- cl: who a company is ------------------------------------------------------------------------------------------------

create table if not exists cl.company_identity (
  company_unique_id uuid primary key default gen_random_uuid(),
  company_name text not null,
  company_domain text,
  linkedin_company_url text,
  source_system text not null default 'clay_import',
  company_fingerprint text,
  existence_verified boolean not null default false,
  identity_status text not null default 'PENDING',
  identity_pass integer not null default 0,
  outreach_id uuid,                       -- written by the hub when the company enters outreach; no foreign key there
  sales_process_id uuid,
  client_id uuid,
  lifecycle_run_id text,
  verification_run_id text,
  verified_at timestamptz,
  domain_status_code integer,
  name_match_score integer,
  state_match_result text,
  canonical_name text,
  state_code char(2),
  state_verified boolean,
  employee_count_band text,
  sovereign_company_id uuid,
  last_pass_at timestamptz,
  eligibility_status text,
  exclusion_reason text,
  entity_role text,
  final_outcome text,
  final_reason text,
  outreach_attached_at timestamptz,
  sales_opened_at timestamptz,
  client_promoted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table if not exists cl.company_domains (
  domain_id uuid primary key default gen_random_uuid(),
  company_unique_id uuid not null references cl.company_identity,
  domain text not null,
  domain_health text,
  mx_present boolean,
  domain_name_confidence integer,
  checked_at timestamptz default now()
);
create index if not exists company_domains_company on cl.company_domains (company_unique_id);

-- outreach: the spine and its sub-hubs --------------------------------------------------------------------------------

create table if not exists outreach.outreach (
  outreach_id uuid primary key default gen_random_uuid(),
  sovereign_id uuid not null references cl.company_identity,
  domain varchar(255),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ein varchar(20),
  has_appointment boolean default false
);
create index if not exists outreach_sovereign on outreach.outreach (sovereign_id);

create table if not exists outreach.outreach_archive (
  outreach_id uuid primary key,
  sovereign_id uuid not null,
  domain varchar(255),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  ein varchar(20),
  has_appointment boolean,
  archived_at timestamptz not null default now(),
  archive_reason text
);

create table if not exists outreach.outreach_errors (
  error_id uuid primary key default gen_random_uuid(),
  company_unique_id text,
  pipeline_stage text,
  failure_code text,
  details text,
  run_id text,
  created_at timestamptz not null default now()
);

create table if not exists outreach.hub_registry (
  hub_id varchar(50) primary key,
  hub_name varchar(100) not null,
  doctrine_id varchar(20),
  classification varchar(20),
  gates_completion boolean not null default false,
  waterfall_order integer,
  core_metric varchar(50),
  metric_healthy_threshold numeric,
  metric_critical_threshold numeric,
  description text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table if not exists outreach.company_target (
  target_id uuid primary key default gen_random_uuid(),
  outreach_id uuid references outreach.outreach,
  company_unique_id text,
  outreach_status text not null default 'queued',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists company_target_outreach on outreach.company_target (outreach_id);

create table if not exists outreach.people (
  person_id uuid primary key default gen_random_uuid(),
  outreach_id uuid references outreach.outreach,
  target_id uuid references outreach.company_target,
  email varchar(255) not null,
  email_verified boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists people_outreach on outreach.people (outreach_id);
create index if not exists people_target on outreach.people (target_id);

create table if not exists outreach.dol (
  dol_id uuid primary key default gen_random_uuid(),
  outreach_id uuid references outreach.outreach,
  ein varchar(20),
  filing_present boolean,
  created_at timestamptz not null default now()
);
create index if not exists dol_outreach on outreach.dol (outreach_id);

create table if not exists outreach.campaigns (
  campaign_id uuid primary key default gen_random_uuid(),
  campaign_name varchar(255) not null,
  campaign_type varchar(50) not null default 'cold',
  campaign_status varchar(50) not null default 'draft',
  target_bit_score_min integer default 25,
  target_outreach_state varchar(50),
  daily_send_limit integer default 100,
  total_send_limit integer,
  total_targeted integer not null default 0,
  total_sent integer not null default 0,
  total_opened integer not null default 0,
  total_clicked integer not null default 0,
  total_replied integer not null default 0,
  start_date date,
  end_date date,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table if not exists outreach.sequences (
  sequence_id uuid primary key default gen_random_uuid(),
  campaign_id uuid references outreach.campaigns,
  sequence_name varchar(255) not null,
  sequence_order integer not null default 1,
  subject_template text,
  body_template text,
  template_type varchar(50) default 'email',
  delay_days integer not null default 0,
  delay_hours integer not null default 0,
  send_time_preference varchar(50) default 'business_hours',
  sequence_status varchar(50) not null default 'active',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists sequences_campaign on outreach.sequences (campaign_id);

create table if not exists outreach.send_log (
  send_id uuid primary key default gen_random_uuid(),
  campaign_id uuid references outreach.campaigns,
  sequence_id uuid references outreach.sequences,
  person_id uuid references outreach.people,
  target_id uuid references outreach.company_target,
  company_unique_id text,
  email_to varchar(255) not null,
  email_subject text,
  sequence_step integer not null default 1,
  send_status varchar(50) not null default 'pending',
  scheduled_at timestamptz,
  sent_at timestamptz,
  delivered_at timestamptz,
  bounced_at timestamptz,
  opened_at timestamptz,
  clicked_at timestamptz,
  replied_at timestamptz,
  open_count integer not null default 0,
  click_count integer not null default 0,
  error_message text,
  retry_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists send_log_campaign on outreach.send_log (campaign_id);
create index if not exists send_log_sequence on outreach.send_log (sequence_id);
create index if not exists send_log_person on outreach.send_log (person_id);
create index if not exists send_log_target on outreach.send_log (target_id);
create index if not exists send_log_status on outreach.send_log (send_status, scheduled_at);

create table if not exists outreach.engagement_events (
  event_id uuid primary key default gen_random_uuid(),
  person_id uuid references outreach.people,
  target_id uuid references outreach.company_target,
  outreach_id uuid references outreach.outreach,
  company_unique_id text,
  event_type outreach.event_type not null,
  event_subtype text,
  event_ts timestamptz not null default now(),
  source_system text,
  source_campaign_id text,
  metadata jsonb default '{}',
  is_processed boolean default false,
  triggered_transition boolean default false,
  transition_to_state outreach.lifecycle_state,
  event_hash varchar(64),
  is_duplicate boolean default false,
  created_at timestamptz not null default now(),
  processed_at timestamptz
);
create index if not exists engagement_events_person on outreach.engagement_events (person_id);
create index if not exists engagement_events_target on outreach.engagement_events (target_id);
create index if not exists engagement_events_outreach on outreach.engagement_events (outreach_id);
create index if not exists engagement_events_hash on outreach.engagement_events (event_hash);

create table if not exists outreach.bit_scores (
  outreach_id uuid primary key references outreach.outreach,
  score numeric not null default 0,
  score_tier varchar(20) not null default 'COLD',
  signal_count integer not null default 0,
  people_score numeric not null default 0,
  dol_score numeric not null default 0,
  blog_score numeric not null default 0,
  talent_flow_score numeric not null default 0,
  last_signal_at timestamptz,
  last_scored_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists bit_scores_tier on outreach.bit_scores (score_tier);

create table if not exists outreach.bit_signals (
  signal_id uuid primary key default gen_random_uuid(),
  outreach_id uuid not null references outreach.outreach,
  signal_type varchar(50) not null,
  signal_impact numeric not null,
  source_spoke varchar(50) not null,
  correlation_id uuid not null,
  process_id uuid,
  signal_metadata jsonb,
  decay_period_days integer not null default 90,
  decayed_impact numeric,
  signal_timestamp timestamptz not null default now(),
  processed_at timestamptz,
  created_at timestamptz not null default now()
);
create index if not exists bit_signals_outreach on outreach.bit_signals (outreach_id);
create index if not exists bit_signals_timestamp on outreach.bit_signals (signal_timestamp);

create table if not exists outreach.bit_errors (
  error_id uuid primary key default gen_random_uuid(),
  outreach_id uuid references outreach.outreach,
  pipeline_stage varchar(50) not null,
  failure_code varchar(50) not null,
  blocking_reason text not null,
  severity varchar(20) not null default 'ERROR',
  retry_allowed boolean not null default false,
  correlation_id uuid,
  process_id uuid,
  raw_input jsonb,
  stack_trace text,
  error_type varchar(100),
  created_at timestamptz not null default now()
);
create index if not exists bit_errors_outreach on outreach.bit_errors (outreach_id);

-- outreach_ctx: what an outreach run cost ------------------------------------------------------------------------------

create table if not exists outreach_ctx.context (
  outreach_context_id text primary key,
  created_at timestamptz not null default now(),
  status text not null default 'active',
  notes text
);

create table if not exists outreach_ctx.spend_log (
  id bigserial primary key,
  outreach_context_id text not null references outreach_ctx.context,
  company_sov_id uuid,
  tool_name text not null,
  tier integer,
  cost_credits numeric,
  attempted_at timestamptz not null default now()
);
create index if not exists spend_log_context on outreach_ctx.spend_log (outreach_context_id);

-- bit: the older scoring, still read; nullable and without time zones, as it grew ---------------------------------------

create table if not exists bit.bit_signal (
  signal_id serial primary key,
  company_unique_id text,
  contact_unique_id text,
  signal_type text,
  signal_strength integer,
  source text,
  source_campaign_id text,
  metadata jsonb,
  captured_at timestamp without time zone
);
create index if not exists bit_signal_company on bit.bit_signal (company_unique_id);

create table if not exists bit.bit_company_score (
  company_unique_id text primary key,
  score integer,
  signal_count integer,
  last_signal_at timestamp without time zone,
  email_score integer,
  linkedin_score integer,
  website_score integer,
  score_tier text,
  last_updated timestamp without time zone
);

create table if not exists bit.bit_contact_score (
  contact_unique_id text primary key,
  score integer,
  signal_count integer,
  email_opens integer,
  email_clicks integer,
  linkedin_views integer,
  replies integer,
  engagement_tier text,
  last_updated timestamp without time zone
);
