using System.Globalization;
using Grpo.IO;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The form of a model's prompts and answers. The settings decide first, then the model's <c>task.json</c>, then the sample's defaults.
/// </summary>
/// <param name="Trained">The task that the model's folder describes, or null if it describes none.</param>
/// <param name="Format">The format of the answers.</param>
/// <param name="Given">The system prompt of the settings: empty for no system prompt, or null if the settings have none.</param>
internal sealed record PromptForm(TaskDescription? Trained, AnswerFormat Format, string? Given)
{
    /// <summary>Reads the task of a model and combines it with the settings.</summary>
    /// <param name="model">The folder or hub id of a model, or empty for the sample's tiny model. A hub id has no task.</param>
    /// <param name="format">The answer format of the settings, or null if they have none.</param>
    /// <param name="systemPrompt">The system prompt of the settings: empty for no system prompt, or null if the settings have none.</param>
    /// <exception cref="InvalidDataException">The file is damaged, or names an answer format that this sample does not know.</exception>
    public static PromptForm Load(string? model, AnswerFormat? format, string? systemPrompt)
    {
        string folder = model is { Length: > 0 } ? model : Defaults.TinyModel;
        TaskDescription? trained = Directory.Exists(folder) ? TaskDescription.Read(folder) : null;
        return new PromptForm(trained, format ?? FormatOf(trained, folder) ?? AnswerFormat.TagAnswer, systemPrompt);
    }

    /// <summary>The system message for generated problems, whose default is short.</summary>
    public string? ForGenerated => Prompt(Defaults.SystemPrompt);

    /// <summary>The system message for problems from a file and for questions.</summary>
    public string? ForOthers => Prompt(Gsm8kPrompts.For(Format));

    /// <summary>
    /// Returns the notes for the user: each setting that overrides the model's own task, or that the model describes no task.
    /// </summary>
    /// <param name="model">The folder or hub id in the settings, or empty for the tiny model.</param>
    /// <param name="sampling">The limits in force, or null if nothing is sampled.</param>
    public IEnumerable<string> Notes(string? model, SamplingOptions? sampling)
    {
        if (Trained is null)
        {
            if (model is { Length: > 0 } && Given is null)
            {
                yield return $"'{TerminalText.EscapeLine(model)}' has no {TaskDescription.FileName} that says how it was prompted in "
                    + $"training. It gets the system prompt for answers as {Format}; --system-prompt sets another.";
            }

            yield break;
        }

        if (Trained.AnswerFormat is { } format && format != Format.ToString())
        {
            yield return Differs("the answer format", TerminalText.EscapeLine(format), Format.ToString());
        }

        if (ForOthers != Trained.SystemPrompt)
        {
            yield return Differs("the system prompt", Quoted(Trained.SystemPrompt), Quoted(ForOthers));
        }

        if (sampling is not null && Trained.MaxPromptTokens is { } prompt && prompt != sampling.MaxPromptTokens)
        {
            yield return Differs("MaxPromptTokens", Number(prompt), Number(sampling.MaxPromptTokens));
        }

        if (sampling is not null && Trained.MaxCompletionTokens is { } completion && completion != sampling.MaxCompletionTokens)
        {
            yield return Differs("MaxCompletionTokens", Number(completion), Number(sampling.MaxCompletionTokens));
        }

        static string Differs(string what, string trained, string now) =>
            $"The model was trained with {what} {trained}; the settings ask for {now}.";

        static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

        static string Quoted(string? text) => text is null ? "none" : $"'{TerminalText.EscapeLine(text)}'";
    }

    /// <summary>Creates the description of the task of a model that is trained in this form.</summary>
    /// <param name="systemPrompt">The system message of its prompts.</param>
    /// <param name="sampling">The limits of its run, or null to keep those of the model that it starts from.</param>
    public TaskDescription Describe(string? systemPrompt, SamplingOptions? sampling) => new()
    {
        SystemPrompt = systemPrompt,
        AnswerFormat = Format.ToString(),
        MaxPromptTokens = sampling?.MaxPromptTokens ?? Trained?.MaxPromptTokens,
        MaxCompletionTokens = sampling?.MaxCompletionTokens ?? Trained?.MaxCompletionTokens,
    };

    private string? Prompt(string own) => Given is not null
        ? Given.Length > 0 ? Given : null
        : Trained is null ? own
        : AsksForAnotherForm(Trained) ? Gsm8kPrompts.For(Format)
        : Trained.SystemPrompt;

    // True if the trained prompt asks for another format than the wanted one. LastNumber reads every format, so it never conflicts.
    private bool AsksForAnotherForm(TaskDescription trained) =>
        Format != AnswerFormat.LastNumber && Enum.TryParse(trained.AnswerFormat, out AnswerFormat before) && before != Format
        && trained.SystemPrompt == Gsm8kPrompts.For(before);

    private static AnswerFormat? FormatOf(TaskDescription? trained, string folder) => trained?.AnswerFormat switch
    {
        null => null,
        { } name when Enum.GetNames<AnswerFormat>().Contains(name) => Enum.Parse<AnswerFormat>(name),
        { } name => throw new InvalidDataException(
            $"'{TerminalText.EscapeLine(Path.Combine(folder, TaskDescription.FileName))}' has the answer format " +
            $"'{TerminalText.EscapeLine(name)}', which is none of {string.Join(", ", Enum.GetNames<AnswerFormat>())}. "
            + "Name the one to read with --answer-format."),
    };
}
