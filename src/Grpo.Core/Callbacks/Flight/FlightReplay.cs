using Grpo.Checkpoints;
using Grpo.Modeling;
using Grpo.Rollouts;

namespace Grpo.Callbacks;

/// <summary>Does a recorded step again, or samples one of its completions again, and says what came out otherwise.</summary>
/// <remarks>
/// The step is done by a <see cref="GrpoOptimizer"/> whose sampler and reward give what is on record: what is compared has come through
/// the code that trains, not through a copy of it.
/// </remarks>
public sealed class FlightReplay
{
    private readonly IPolicy _policy;
    private readonly GrpoOptions _options;
    private readonly IReferenceModel? _reference;

    /// <summary>Prepares a replay.</summary>
    /// <param name="policy">The model of the run. Borrowed; a replay changes its weights.</param>
    /// <param name="options">The options of the run, as <see cref="FlightSettings.ToOptions"/> gives them.</param>
    /// <param name="reference">The reference model of the run, if it had one.</param>
    public FlightReplay(IPolicy policy, GrpoOptions options, IReferenceModel? reference = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(options);
        _policy = policy;
        _options = options;
        _reference = reference;
    }

    /// <summary>The checkpoint that a step begins with: that of the step before.</summary>
    /// <param name="root">The folder of a <see cref="DirectoryCheckpointStore"/>.</param>
    /// <param name="record">The record of the run.</param>
    /// <param name="step">A step of it.</param>
    /// <param name="cancellationToken">Ends the comparison of hashes.</param>
    /// <returns>Its folder; null for the first step, which begins with the model as the run was given it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The record does not hold the step; the message says which it holds.</exception>
    /// <exception cref="FileNotFoundException">The run has not kept it; the message says which steps can be replayed.</exception>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static async Task<string?> FindCheckpointAsync(string root, FlightRecord record, long step, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(root);
        ArgumentNullException.ThrowIfNull(record);
        Dictionary<long, string> kept = Directory.Exists(root) ? CheckpointFolders.NewestFirst(root).ToDictionary(found => found.Step, found => found.Folder) : [];
        if (!record.Steps.Contains(step))
        {
            throw new ArgumentOutOfRangeException(nameof(step), $"Step {step} is not in '{record.FilePath}'; its steps: {FlightRecord.Ranges(record.Steps)}.");
        }

        if (step == 1)
        {
            return null;
        }

        if (!kept.TryGetValue(step - 1, out string? folder))
        {
            string possible = FlightRecord.Ranges(record.Steps.Where(other => other == 1 || kept.ContainsKey(other - 1)));
            throw new FileNotFoundException(
                $"Step {step} begins with the weights of {CheckpointFolders.Name(step - 1)}, which '{root}' does not hold. Steps that can be replayed: {possible}. " +
                "To be able to replay every step, write a checkpoint after each (CheckpointEvery = 1) and keep as many (keepLast of the store).");
        }

        return await CheckpointManifest.FindProblemAsync(folder, step - 1, withHashes: true, cancellationToken).ConfigureAwait(false) is { } problem
            ? throw new InvalidDataException($"'{folder}' is damaged: {problem}")
            : folder;
    }

    /// <summary>Does a step again: advantages from the rewards, log-probs, loss, gradient and every update of it. The policy has taken the step afterwards.</summary>
    /// <param name="recorded">The step.</param>
    /// <param name="checkpoint">
    /// The checkpoint that it began with; null: the policy as it is, and an optimizer without moments, which is right for the first step, and for
    /// the first update of any.
    /// </param>
    /// <param name="cancellationToken">Stops between two micro-batches.</param>
    /// <returns>Both steps, compared. A step that is refused, as one is whose numbers are not finite, is a result too: <see cref="ReplayReport.Refusal"/>.</returns>
    /// <remarks>
    /// Where memory had imposed smaller micro-batches than the options say (<see cref="FlightStep.MicroBatchTokens"/>), they are formed again.
    /// </remarks>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is of another model, seed or format; or the step has a token that the policy has not, a prompt without tokens, or no groups.
    /// </exception>
    /// <exception cref="ArgumentException">The options are out of range, or do not fit the step.</exception>
    /// <exception cref="InvalidOperationException">The policy is random in training, or a reference model is missing or cannot be moved.</exception>
    /// <exception cref="RewardException">A reward is not a finite number; none that was read from a file is.</exception>
    public async Task<ReplayReport> ReplayAsync(FlightStep recorded, string? checkpoint = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(recorded);
        int first = recorded.Rounds.Count == 0 ? 0 : recorded.Rounds[0];
        if (first < 1 || first > recorded.Groups.Count)
        {
            throw new InvalidDataException($"The first round of step {recorded.Step} has {first} of its {recorded.Groups.Count} groups: no recorder writes that.");
        }

        var playback = new Playback(recorded);
        GrpoOptions options = _options with
        {
            MaxTokensPerMicroBatch = recorded.MicroBatchTokens ?? _options.MaxTokensPerMicroBatch,
            Rewards = new RewardOptions(), // those of the run were for its rewards, which do not run again
        };
        using var optimizer = new GrpoOptimizer(_policy, playback, playback, options, _reference) { Recorders = 1 };
        RecordedTokens.Require(recorded, _policy);
        if (checkpoint is not null)
        {
            optimizer.Load(checkpoint);
        }

        optimizer.Step = recorded.Step - 1; // that of the checkpoint, unless it is another's
        string before = WeightHash.Compute(_policy);
        StepReport report;
        try
        {
            report = await optimizer.StepAsync([.. playback.Prompts.Take(first)], [.. playback.Prompts.Skip(first)], cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is TrainingDivergedException or (InvalidOperationException and not ObjectDisposedException))
        {
            // Most refusals leave the weights as they were, but not one of a second update, or of an update that ruined them.
            return new ReplayReport
            {
                Step = recorded.Step,
                RecordedWeights = recorded.WeightHash,
                Weights = before,
                WeightsAfter = WeightHash.Compute(_policy),
                Refusal = exception.Message,
            };
        }

        return ReplayReport.Compare(recorded, report.Record!, WeightHash.Compute(_policy));
    }

    /// <summary>
    /// Samples a completion again, from the same weights and the same random numbers, with the end tokens of the tokenizer alone. Give the
    /// chat template as well, unless the tokenizer names its end of a message.
    /// </summary>
    /// <inheritdoc cref="RegenerateAsync(FlightStep, int, int, ITokenizer, IChatTemplate, string?, CancellationToken)"/>
    public Task<RegeneratedCompletion> RegenerateAsync(
        FlightStep recorded, int prompt, int sample, ITokenizer tokenizer, string? checkpoint = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return RegenerateAsync(recorded, prompt, sample, tokenizer, tokenizer.EndTokenIds, checkpoint, cancellationToken);
    }

    /// <summary>Samples a completion again, from the same weights and the same random numbers.</summary>
    /// <param name="recorded">The step.</param>
    /// <param name="prompt">Index of its group in the step, from 0.</param>
    /// <param name="sample">Index in the group, from 0.</param>
    /// <param name="tokenizer">The tokenizer of the model: its end tokens end the completion.</param>
    /// <param name="template">The chat template of the run: its end of a message ends the completion too.</param>
    /// <param name="checkpoint">The checkpoint that the step began with; null: the policy as it is.</param>
    /// <param name="cancellationToken">Stops between two tokens.</param>
    /// <remarks>
    /// For completions that a <see cref="PolicyGroupSampler"/> sampled. Its group is sampled alone first. Numbers are rounded otherwise in a
    /// batch of another shape, which can tip a token; so if it differs, the whole round is sampled as it was, and that decides.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">The step has no such prompt or sample.</exception>
    /// <exception cref="ArgumentException">A prompt is longer than the options allow, or these are out of range.</exception>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is of another model; or the step has a token that the policy has not, a prompt without tokens, or a prompt in none of its rounds.
    /// </exception>
    /// <exception cref="TrainingDivergedException">The logits are not finite.</exception>
    /// <exception cref="InvalidOperationException">Not even one sequence fits into memory.</exception>
    public Task<RegeneratedCompletion> RegenerateAsync(
        FlightStep recorded, int prompt, int sample, ITokenizer tokenizer, IChatTemplate template, string? checkpoint = null,
        CancellationToken cancellationToken = default) =>
        RegenerateAsync(recorded, prompt, sample, tokenizer, new PromptEncoder(tokenizer, template).EndTokenIds, checkpoint, cancellationToken);

    private async Task<RegeneratedCompletion> RegenerateAsync(
        FlightStep recorded, int prompt, int sample, ITokenizer tokenizer, IReadOnlySet<int> endTokenIds, string? checkpoint,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(recorded);
        if (prompt < 0 || prompt >= recorded.Groups.Count)
        {
            throw new ArgumentOutOfRangeException(nameof(prompt), $"Step {recorded.Step} has prompts 0 to {recorded.Groups.Count - 1}, and no {prompt}.");
        }

        if (sample < 0 || sample >= recorded.Groups[prompt].Completions.Count)
        {
            throw new ArgumentOutOfRangeException(nameof(sample), $"Prompt {prompt} of step {recorded.Step} has samples 0 to {recorded.Groups[prompt].Completions.Count - 1}, and no {sample}.");
        }

        int[] round = Round(recorded, prompt);
        RecordedTokens.Require(recorded, _policy);
        if (checkpoint is not null)
        {
            _policy.Load(checkpoint);
        }


        // A prompt that comes twice in a round counts its samples on, so those of one id belong together.
        int[] alone = [.. round.Where(group => recorded.Groups[group].PromptId == recorded.Groups[prompt].PromptId)];
        RegeneratedCompletion result = await SampleAsync(alone).ConfigureAwait(false);
        return result.FirstDifference is null || alone.Length == round.Length ? result : await SampleAsync(round).ConfigureAwait(false);

        async Task<RegeneratedCompletion> SampleAsync(int[] groups)
        {
            var prompts = new RecordedPrompts(tokenizer, endTokenIds, recorded);
            var request = new RolloutRequest
            {
                Prompts = [.. groups.Select(prompts.Prompt)],
                GroupSize = recorded.Groups[prompt].Completions.Count,
                Sampling = _options.Sampling,
                Seed = recorded.Seed,
                Step = recorded.Step - 1,
            };
            IReadOnlyList<RolloutGroup> sampled = await new PolicyGroupSampler(prompts, prompts).SampleAsync(_policy, request, cancellationToken).ConfigureAwait(false);
            return new RegeneratedCompletion
            {
                Recorded = recorded.Groups[prompt].Completions[sample],
                Completion = sampled[Array.IndexOf(groups, prompt)].Completions[sample],
                RecordedWeights = recorded.WeightHash,
                Weights = WeightHash.Compute(_policy),
                Alone = groups.Length < round.Length,
            };
        }
    }

    // The groups that were sampled together with one.
    private static int[] Round(FlightStep recorded, int prompt)
    {
        int first = 0;
        foreach (int count in recorded.Rounds)
        {
            if (prompt < first + count)
            {
                return [.. Enumerable.Range(first, count)];
            }

            first += count;
        }

        throw new InvalidDataException($"Prompt {prompt} is in none of the rounds of step {recorded.Step}.");
    }
}
