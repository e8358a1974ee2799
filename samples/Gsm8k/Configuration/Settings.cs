using System.CommandLine;
using Grpo.Rewards;
using Microsoft.Extensions.Configuration;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// Settings from, in rising order: what fits the model, a preset, the answer format and the limits of the model's task.json,
/// appsettings.json, environment variables (GRPO__LearningRate=1e-5), the command line (--learning-rate 1e-5). An unknown name anywhere is an
/// error.
/// </summary>
internal sealed record Settings(RunSettings Run, GrpoOptions Grpo, TrainerOptions Trainer, PromptForm Form)
{
    private static readonly IReadOnlyList<(string Key, Option<string?> Option)> All =
        [.. SettingOptions.For("Run", new RunSettings()), .. SettingOptions.For("Grpo", new GrpoOptions()), .. SettingOptions.For("Trainer", new TrainerOptions { Resume = true })];

    /// <summary>Adds the options of some sections to a command.</summary>
    public static void AddTo(Command command, params string[] sections)
    {
        foreach ((_, Option<string?> option) in All.Where(entry => sections.Contains(entry.Key.Split(':')[0])))
        {
            command.Options.Add(option);
        }
    }

    /// <summary>Reads all sources.</summary>
    /// <param name="command">The parsed command line.</param>
    /// <param name="preset">Takes the place of the preset that the sources name; null: theirs.</param>
    /// <exception cref="InvalidOperationException">A name is unknown or a value cannot be converted.</exception>
    public static Settings Read(ParseResult command, string? preset = null)
    {
        Dictionary<string, string?> given = [];
        foreach ((string key, Option<string?> option) in All)
        {
            if (command.GetResult(option) is not null)
            {
                given[key] = command.GetValue(option);
            }
        }

        IConfigurationRoot configuration = new ConfigurationBuilder()
            .AddJsonFile(Path.Combine(AppContext.BaseDirectory, "appsettings.json"), optional: true)
            .AddJsonFile(Path.GetFullPath("appsettings.json"), optional: true)
            .AddEnvironmentVariables()
            .AddInMemoryCollection(given)
            .Build();

        RunSettings run = Bind(configuration, "Run", new RunSettings());
        run.Preset = preset ?? run.Preset;
        GrpoOptions options = run.Preset is { Length: > 0 } named ? GrpoPresets.Get(named) : new GrpoOptions();
        if (run.Model is not { Length: > 0 })
        {
            Defaults.FitTiny(options);
        }

        PromptForm form = PromptForm.Load(run.Model, configuration["Run:AnswerFormat"] is null ? null : run.AnswerFormat, run.SystemPrompt);
        run.AnswerFormat = form.Format;
        options.Sampling = options.Sampling with
        {
            MaxPromptTokens = form.Trained?.MaxPromptTokens ?? options.Sampling.MaxPromptTokens,
            MaxCompletionTokens = form.Trained?.MaxCompletionTokens ?? options.Sampling.MaxCompletionTokens,
        };

        TrainerOptions trainer = run.Model is { Length: > 0 } ? new TrainerOptions() : Defaults.TinyTrainer();
        trainer.Resume = true; // a folder of a run that was begun is one to go on with
        return new Settings(run, Bind(configuration, "Grpo", options), Bind(configuration, "Trainer", trainer), form);
    }

    /// <summary>Says, on the error stream, what the settings change of the model's own task.</summary>
    public void SayNotes()
    {
        foreach (string note in Form.Notes(Run.Model, Grpo.Sampling))
        {
            Console.Error.WriteLine($"Note: {note}");
        }
    }

    private static T Bind<T>(IConfiguration configuration, string section, T values)
        where T : class
    {
        configuration.GetSection(section).Bind(values, binder => binder.ErrorOnUnknownConfiguration = true);
        return values;
    }
}
