import * as vscode from "vscode";
import { Executable, LanguageClient, LanguageClientOptions, State } from "vscode-languageclient/node";

const FIX_ALL = "source.fixAll.rnnlint";
const DOCUMENTS = [
  { scheme: "file", language: "python" },
  { notebook: { scheme: "file", notebookType: "jupyter-notebook" }, language: "python" },
];
/** Settings with which the server has to be started anew; it takes over the others as it runs. */
const STARTING = ["rnnlint.enable", "rnnlint.interpreter", "rnnlint.command"];

let client: LanguageClient | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const output = vscode.window.createOutputChannel("rnnlint");
  const status = vscode.languages.createLanguageStatusItem("rnnlint", { language: "python" });
  status.name = "rnnlint";
  status.command = { command: "rnnlint.showOutput", title: "Output" };
  show(status, State.Stopped);
  context.subscriptions.push(
    output,
    status,
    vscode.commands.registerCommand("rnnlint.fixAll", fixAll),
    vscode.commands.registerCommand("rnnlint.restart", () => restart(output, status)),
    vscode.commands.registerCommand("rnnlint.showOutput", () => output.show()),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (STARTING.some((setting) => change.affectsConfiguration(setting))) {
        await restart(output, status);
      }
    }),
  );
  await start(output, status);
}

export async function deactivate(): Promise<void> {
  await stop();
}

async function start(output: vscode.OutputChannel, status: vscode.LanguageStatusItem): Promise<void> {
  const settings = vscode.workspace.getConfiguration("rnnlint");
  if (!settings.get<boolean>("enable")) {
    return;
  }
  const options: LanguageClientOptions = {
    documentSelector: DOCUMENTS,
    initializationOptions: { settings },
    outputChannel: output,
    synchronize: { configurationSection: "rnnlint" },
  };
  const started = new LanguageClient("rnnlint", "rnnlint", server(settings), options);
  started.onDidChangeState((change) => show(status, change.newState));
  client = started;
  try {
    await started.start();
  } catch (error) {
    show(status, State.Stopped, String(error));
    const answer = await vscode.window.showErrorMessage(
      "rnnlint could not be started. Install it with: pip install 'rnnlint[server]', " +
        "and name its Python in the setting rnnlint.interpreter.",
      "Open the settings",
    );
    if (answer) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "rnnlint");
    }
  }
}

async function stop(): Promise<void> {
  const running = client;
  client = undefined;
  if (running?.needsStop()) {
    await running.stop();
  }
}

async function restart(output: vscode.OutputChannel, status: vscode.LanguageStatusItem): Promise<void> {
  await stop();
  await start(output, status);
}

function server(settings: vscode.WorkspaceConfiguration): Executable {
  const interpreter = settings.get<string>("interpreter");
  const [command, ...args] = interpreter
    ? [interpreter, "-m", "rnnlint", "server"]
    : settings.get<string[]>("command", ["rnnlint", "server"]);
  return { command, args };
}

async function fixAll(): Promise<void> {
  await vscode.commands.executeCommand("editor.action.sourceAction", { kind: FIX_ALL, apply: "first" });
}

function show(status: vscode.LanguageStatusItem, state: State, detail = ""): void {
  const words = { [State.Starting]: "starting", [State.Running]: "running", [State.Stopped]: "stopped" };
  status.text = `rnnlint: ${words[state]}`;
  status.detail = detail;
  status.busy = state === State.Starting;
  status.severity = detail ? vscode.LanguageStatusSeverity.Error : vscode.LanguageStatusSeverity.Information;
}
