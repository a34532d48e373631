//! The `maildomain` binary: `controller` runs the operator, `crd` writes the resource definitions, `plan` tells what would
//! be done for a file, `check` judges what the world sees of a domain, `reference` prints tables of the documentation.
//!
//! Exit codes: 0 done, 1 an error or a wrong use, 2 a plan with conflicts or a domain that fails, 3 a domain of which not
//! everything could be asked.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use kube::{Client, CustomResourceExt};
use maildomain::admin::{self, Health};
use maildomain::api::{self, MailDomain};
use maildomain::cli::{check, plan};
use maildomain::config::Config;
use maildomain::controller::{self, Shell, clock};
use maildomain::lead::Lead;
use maildomain::lease::Candidate;
use maildomain::metrics::Metrics;
use maildomain::{protocol, status};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Makes mail from your own domain work, and proves it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator in a cluster.
    Controller(ControllerArguments),
    /// Write the CustomResourceDefinitions, one file each, into a directory.
    Crd {
        /// The directory.
        #[arg(long, default_value = "crds")]
        out: PathBuf,
    },
    Plan(plan::Arguments),
    Check(check::Arguments),
    /// Print a table of the documentation.
    #[command(hide = true)]
    Reference {
        /// Which one.
        table: Table,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Table {
    Reasons,
    ProviderReasons,
    Checks,
    MessageChecks,
}

#[derive(Debug, clap::Args)]
struct ControllerArguments {
    /// The operator's own namespace: ledgers, credentials, the lease.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,
    /// Who this replica is, for the lease.
    #[arg(long, env = "POD_NAME", default_value = "maildomain")]
    identity: String,
    /// Watch this namespace only; may be given several times. Without it: all.
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        env = "WATCH_NAMESPACES",
        value_delimiter = ','
    )]
    watch_namespaces: Vec<String>,
    /// The configuration file; without it every field has its default.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where probes and metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,
    /// How the log is written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

/// Why the program ends with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("failed to write {0}")]
    WriteFile(PathBuf, #[source] std::io::Error),
    #[error("failed to read {0}")]
    ReadFile(PathBuf, #[source] std::io::Error),
    #[error("failed to print a definition")]
    Print(#[source] serde_saphyr::ser::Error),
    #[error("failed to write to standard output")]
    Output(#[source] std::io::Error),
    #[error("the configuration cannot be used")]
    Config(#[from] maildomain::config::ConfigError),
    #[error("failed to reach the cluster; is there a kubeconfig or a service account?")]
    Connect(#[source] kube::Error),
    #[error("failed to start")]
    Start(#[source] std::io::Error),
    #[error("the lease was lost; another replica leads")]
    LeaseLost,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors. There is nobody to tell when they cannot be printed.
            drop(error.print());
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let result = match arguments.command {
        Command::Plan(arguments) => return plan_file(&arguments),
        Command::Check(arguments) => return told(check::run(&arguments).map(ExitCode::from)),
        Command::Crd { out } => write_definitions(&out),
        Command::Reference { table } => std::io::stdout()
            .write_all(reference(table).as_bytes())
            .map_err(Failure::Output),
        Command::Controller(arguments) => run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("maildomain: {}", controller::error::chain(&failure));
            ExitCode::FAILURE
        }
    }
}

fn plan_file(arguments: &plan::Arguments) -> ExitCode {
    told(plan::run(arguments).map(|verdict| match verdict {
        plan::Verdict::Clear => ExitCode::SUCCESS,
        plan::Verdict::Conflicts => ExitCode::from(2),
    }))
}

/// The exit code of a command, or its failure in words.
fn told<E: std::error::Error>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|failure| {
        for line in controller::error::chain(&failure).lines() {
            eprintln!("maildomain: {line}");
        }
        ExitCode::FAILURE
    })
}

fn write_definitions(out: &Path) -> Result<(), Failure> {
    for (file, definition) in api::definitions() {
        let yaml = serde_saphyr::to_string(&definition).map_err(Failure::Print)?;
        let path = out.join(file);
        let text = format!("# Made by `make generate` from src/api; do not edit.\n{yaml}");
        std::fs::write(&path, text).map_err(|error| Failure::WriteFile(path, error))?;
    }
    Ok(())
}

/// What `make generate` puts into docs/conditions.md.
fn reference(table: Table) -> String {
    let rows: Vec<String> = match table {
        Table::Reasons => status::REASONS
            .iter()
            .map(|(reason, meaning)| format!("`{reason}` | {meaning}"))
            .collect(),
        Table::ProviderReasons => status::provider::REASONS
            .iter()
            .map(|(reason, meaning)| format!("`{reason}` | {meaning}"))
            .collect(),
        Table::Checks => protocol::ALL
            .iter()
            .flat_map(|protocol| protocol.checks.iter().map(move |check| (protocol, check)))
            .map(|(protocol, check)| {
                let condition = check
                    .gate
                    .condition()
                    .map_or_else(String::new, |c| format!("`{c}`"));
                format!(
                    "`{}` | {} | {} | {} | {condition}",
                    check.id, protocol.name, check.title, check.source
                )
            })
            .collect(),
        Table::MessageChecks => maildomain::message::CHECKS
            .iter()
            .map(|check| format!("`{}` | {} | {}", check.id, check.title, check.source))
            .collect(),
    };
    let head = match table {
        Table::Reasons | Table::ProviderReasons => "reason | meaning",
        Table::MessageChecks => "check | what must hold | where that is said",
        Table::Checks => "check | protocol | what must hold | where that is said | a failure holds back",
    };
    let rule = vec!["---"; head.matches('|').count() + 1].join(" | ");
    [head.to_owned(), rule]
        .into_iter()
        .chain(rows)
        .map(|row| format!("| {row} |\n"))
        .collect()
}

fn run(arguments: ControllerArguments) -> Result<(), Failure> {
    log_to_stderr(arguments.log_format);
    // Two TLS libraries in one process panic at the first connection unless one is named.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Start)?;
    let result = runtime.block_on(operate(arguments));
    // Key generation on a blocking thread may take seconds; nobody waits for it.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn log_to_stderr(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::ReadFile(path.to_owned(), error))
}

async fn operate(arguments: ControllerArguments) -> Result<(), Failure> {
    let ControllerArguments {
        namespace,
        identity,
        watch_namespaces,
        config,
        admin_address,
        log_format: _,
    } = arguments;
    let config = Config::parse(&config.as_deref().map(read).transpose()?.unwrap_or_default())?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Start)?;
    let (say_stop, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("asked to stop");
        say_stop.send_replace(true);
    });
    let served = tokio::spawn(admin::serve(admin_address, metrics.clone(), health.clone()));
    let client = Client::try_default().await.map_err(Failure::Connect)?;
    tokio::select! {
        () = definitions_served(&client, watch_namespaces.first()) => health.set_ready(),
        () = asked(stop.clone()) => return Ok(()),
    }
    let shell = Shell {
        lead: Lead::undisputed(),
        client: client.clone(),
        namespace: namespace.clone(),
        watch_namespaces,
        config: config.clone(),
        resolv_conf: std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        metrics: metrics.clone(),
        stop: stop.clone(),
    };
    let result = tokio::select! {
        led = lead(shell, client, &namespace, &identity, metrics, stop) => led,
        ended = served => Err(Failure::Start(ended.map_or_else(std::io::Error::other, |r| r.err().unwrap_or_else(|| std::io::Error::other("the admin server ended"))))),
    };
    tracing::info!("stopped");
    result
}

async fn asked(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can ask any more, which is the same.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Waits until the API server answers and serves MailDomains where we may read them, and says what it waits for.
async fn definitions_served(client: &Client, namespace: Option<&String>) {
    let domains: kube::Api<MailDomain> = match namespace {
        Some(namespace) => kube::Api::namespaced(client.clone(), namespace),
        None => kube::Api::all(client.clone()),
    };
    loop {
        match domains
            .list_metadata(&kube::api::ListParams::default().limit(1))
            .await
        {
            Ok(_) => return,
            Err(error) => {
                let kind = MailDomain::crd_name();
                tracing::warn!(error = %error, "waiting for the API server to serve {kind}; are the definitions installed and the roles bound?");
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Leads when elected. Loss of the lease ends the process at once: a pass that is half way must not go on writing.
async fn lead(
    shell: Shell,
    client: Client,
    namespace: &str,
    identity: &str,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let times = shell.config.leader_election.clone();
    if !times.enabled {
        metrics.leads(true);
        return Ok(controller::run(shell).await?);
    }
    // Another name in every life: see `Candidate::new`.
    let identity = format!("{identity}_{:08x}", rand::random::<u32>());
    let mut candidate = Candidate::new(client, namespace, "maildomain", identity.clone(), times);
    tokio::select! {
        () = candidate.acquire(clock) => {}
        () = asked(stop) => return Ok(()),
    }
    tracing::info!(identity, "leading");
    metrics.leads(true);
    let shell = Shell {
        lead: candidate.lead(),
        ..shell
    };
    let ended = tokio::select! {
        result = controller::run(shell) => Some(result),
        () = candidate.keep(clock) => None,
    };
    metrics.leads(false);
    match ended {
        Some(result) => {
            candidate.release().await;
            Ok(result?)
        }
        None => Err(Failure::LeaseLost),
    }
}
