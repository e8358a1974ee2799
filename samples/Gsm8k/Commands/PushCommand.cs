using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Grpo.Evaluation;
using Grpo.Hub;
using Grpo.IO;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>push</c>, which uploads the folder of a model to a hub. It writes a model card first if the folder has none.
/// </summary>
internal static class PushCommand
{
    private const string AdapterFile = "adapter_config.json";
    private const long MaxAdapterBytes = 1 << 20;

    private static readonly Option<string> Model = new("--model")
    {
        Description = "The folder of the model: a checkpoint, or what export wrote.",
        HelpName = "folder",
        Required = true,
    };

    private static readonly Option<string> Repo = new("--repo")
    {
        Description = "The model on the hub. It is created if it does not exist.",
        HelpName = "user/name",
        Required = true,
    };

    private static readonly Option<bool> Private = new("--private")
    {
        Description = "Creates a private repository, and refuses one that others can see.",
    };

    private static readonly Option<string> Revision = new("--revision")
    {
        Description = "The branch to commit to.",
        DefaultValueFactory = _ => "main",
    };

    private static readonly Option<bool> DryRun = new("--dry-run")
    {
        Description = "Prints what would be sent, and neither sends nor writes anything.",
    };

    private static readonly Option<bool> PullRequest = new("--pull-request")
    {
        Description = "Opens a pull request instead of committing to the branch.",
    };

    private static readonly Option<bool> TrainingState = new("--with-training-state")
    {
        Description = "Sends the state of training too, from which a run continues. It holds the completions of the run.",
    };

    private static readonly Option<string?> Records = new("--records")
    {
        Description = "The checkpoint whose records fill the card. Default: the folder of the model.",
        HelpName = "folder",
    };

    private static readonly Option<string[]> Evaluations = new("--evaluation")
    {
        Description = "An evaluation of this model, written by eval with --json, for the card. May be repeated.",
        HelpName = "file",
    };

    private static readonly Option<string?> BaseModel = new("--base-model")
    {
        Description = "The model on the hub that was trained, for the card.",
        HelpName = "user/name",
    };

    private static readonly Option<string[]> Datasets = new("--dataset")
    {
        Description = "A data set on the hub that was trained on, for the card. May be repeated.",
        HelpName = "user/name",
    };

    private static readonly Option<string> License = new("--license")
    {
        Description = "The license of the model, such as apache-2.0, for the card.",
        DefaultValueFactory = _ => "unknown",
    };

    public static Command Create()
    {
        var command = new Command("push", "Uploads a model to a hub, with a model card. The token is HF_TOKEN, or that of hf auth login.")
        {
            Model, Repo, Private, Revision, DryRun, PullRequest, TrainingState, Records, Evaluations, BaseModel, Datasets, License,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        string folder = parsed.GetRequiredValue(Model), repo = parsed.GetRequiredValue(Repo);
        if (!HubClient.IsId(repo))
        {
            throw new ArgumentException($"--repo is '{TerminalText.EscapeLine(repo)}' but must be the name on the hub: user/name.");
        }

        var options = new HubUploadOptions
        {
            Private = parsed.GetValue(Private),
            CreatePullRequest = parsed.GetValue(PullRequest),
            IncludeTrainingState = parsed.GetValue(TrainingState),
            Progress = new UploadProgress(),
            Connection = new HubOptions
            {
                Revision = parsed.GetRequiredValue(Revision),
                Logger = new ConsoleWarnings<HubUploadOptions>(),
            },
        };
        HubUploadList list = HubUpload.List(folder, options);
        string? card = list.Files.Any(file => file.Path == ModelCard.FileName)
            ? null
            : (await CardAsync(parsed, folder, repo)).ToMarkdown();
        Print(list, card, repo, options);
        if (card is null)
        {
            ReportUnused(parsed);
        }

        if (parsed.GetValue(DryRun))
        {
            Console.WriteLine("Nothing was sent or written (--dry-run).");
            return 0;
        }

        if (card is not null)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, ModelCard.FileName), card, cancellationToken);
        }

        HubCommit commit = await HubUpload.SendAsync(folder, repo, options, cancellationToken);
        Console.WriteLine(commit.Changed.Count == 0
            ? $"The hub has all of it already: {commit.Address}"
            : $"Sent {commit.Changed.Count.ToString(CultureInfo.InvariantCulture)} files: {commit.PullRequest ?? commit.Address}");
        return 0;
    }

    private static void Print(HubUploadList list, string? card, string repo, HubUploadOptions options)
    {
        IEnumerable<HubUploadFile> files = card is null
            ? list.Files
            : list.Files.Append(new HubUploadFile(ModelCard.FileName, Encoding.UTF8.GetByteCount(card)));
        string branch = TerminalText.EscapeLine(options.Connection.Revision);
        Console.WriteLine($"To {repo}, branch {branch}{(options.Private ? ", which must be private" : "")}:");
        foreach (HubUploadFile file in files.OrderBy(file => file.Path, StringComparer.Ordinal))
        {
            string note = card is not null && file.Path == ModelCard.FileName ? "  (a new card)" : "";
            Console.WriteLine($"{file.Size.ToString("#,0", CultureInfo.InvariantCulture),16} bytes  {file.Path}{note}");
        }

        if (list.LeftOut.Count > 0)
        {
            Console.WriteLine($"Left out: {string.Join(", ", list.LeftOut.Select(TerminalText.EscapeLine))}");
        }
    }

    // A card may be the work of its author, so it is never replaced.
    private static void ReportUnused(ParseResult parsed)
    {
        Option[] forCard = [Records, Evaluations, BaseModel, Datasets, License];
        string[] given = [.. forCard.Where(option => parsed.GetResult(option) is { Implicit: false }).Select(option => option.Name)];
        if (given.Length > 0)
        {
            Console.WriteLine(
                $"Note: the folder has a {ModelCard.FileName}, which is sent as it is, without what {string.Join(", ", given)} would "
                + "write. Delete it for a new card.");
        }
    }

    private static async Task<ModelCard> CardAsync(ParseResult parsed, string folder, string repo)
    {
        ModelCard card = await ModelCard.FromCheckpointAsync(parsed.GetValue(Records) ?? folder, repo.Split('/')[1]);
        bool isAdapter = File.Exists(Path.Combine(folder, AdapterFile));
        card.BaseModel = parsed.GetValue(BaseModel) ?? (isAdapter ? BaseOfAdapter(folder) : null);
        card.LibraryName = isAdapter ? "peft" : card.LibraryName;
        card.License = parsed.GetRequiredValue(License);
        card.Datasets = parsed.GetValue(Datasets) ?? [];
        card.Results =
        [
            .. card.Results,
            .. (parsed.GetValue(Evaluations) ?? []).Select(
                path => new ModelCardResult(Path.GetFileNameWithoutExtension(path), EvaluationFile.Read(path))),
        ];
        return card;
    }

    // The name of the base may be a folder on this machine, which is not for others.
    private static string? BaseOfAdapter(string folder)
    {
        var file = new FileInfo(Path.Combine(folder, AdapterFile));
        try
        {
            using JsonDocument? json = file.Length <= MaxAdapterBytes ? JsonDocument.Parse(File.ReadAllBytes(file.FullName)) : null;
            return json?.RootElement is { ValueKind: JsonValueKind.Object } root
                && root.TryGetProperty("base_model_name_or_path", out JsonElement name) && name.ValueKind == JsonValueKind.String
                && name.GetString() is { } id && HubClient.IsId(id) && !Directory.Exists(id) && !Directory.Exists(Path.Combine(folder, id))
                ? id
                : null;
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{file.FullName}' is not valid JSON: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }
}
