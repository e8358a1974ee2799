namespace Grpo.Rollouts;

/// <summary>A sampled token and what the sampler knows of it.</summary>
/// <param name="Id">The token.</param>
/// <param name="LogProb">Its log-probability under the distribution it was drawn from, nats; under greedy decoding that of temperature 1.</param>
/// <param name="Entropy">Entropy of that distribution, nats.</param>
internal readonly record struct PickedToken(int Id, float LogProb, float Entropy);
